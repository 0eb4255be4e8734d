"""Host names in Istio's resources: short names, wildcards, and which of several is the most specific (B2, B3, B7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MESH = "mesh"
"""The reserved gateway name of all sidecars (B1)."""


def resolve(host: str, namespace: str, domain: str) -> str:
    """The full lower-case name: a name without a dot is a Service of ``namespace`` (B2, B3); ``*`` and ``a.b`` stay."""
    host = host.lower()
    if not host or "." in host or "*" in host:
        return host
    return f"{host}.{namespace}.svc.{domain}"


def matches(pattern: str, host: str) -> bool:
    """Does ``pattern`` (exact, ``*.suffix`` or ``*``) cover the name or the narrower pattern ``host``?"""
    if pattern in {host, "*"}:
        return True
    return pattern.startswith("*") and host.removeprefix("*").endswith(pattern[1:])


def most_specific(patterns: Iterable[str], host: str) -> str | None:
    """The pattern that covers ``host`` best: the exact one, else the longest wildcard (B7)."""
    covering = [pattern for pattern in patterns if matches(pattern, host)]
    if host in covering:
        return host
    return max(covering, key=lambda pattern: (len(pattern), pattern), default=None)


def gateway_name(name: str, namespace: str) -> str:
    """``namespace/name`` of a Gateway; ``mesh`` stays (B1, B2). The old form ``gw.ns.svc...`` is understood, too."""
    if name == MESH:
        return name
    own, slash, short = name.partition("/")
    if slash:
        return f"{namespace if own == '.' else own}/{short}"
    short, dot, rest = name.partition(".")
    return f"{rest.partition('.')[0]}/{short}" if dot else f"{namespace}/{name}"


def is_server_name(host: str) -> bool:
    """Whether Envoy can tell a TLS connection by this name: a wildcard is a whole label there, ``*.a`` and not ``*-b.a``."""
    return not host.startswith("*") or host.startswith("*.") or host == "*"
