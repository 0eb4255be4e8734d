"""Checks of routing beyond HTTP/1.1: HTTP/2, gRPC, WebSockets, TCP, and TLS that passes through."""
