"""Checks of ISTIO-ROUTING: what VirtualService and DestinationRule promise, seen from the client."""
