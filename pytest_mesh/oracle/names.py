"""Host names: short to full, wildcards, and by which names a client may call a Service."""

from __future__ import annotations

from collections.abc import Iterable


def resolve(host: str, namespace: str, domain: str) -> str:
    """B2, B3: a name without a dot belongs to the document's own namespace; anything else stays as it is."""
    host = host.lower()
    if "." in host or host == "*" or not host:
        return host
    return f"{host}.{namespace}.svc.{domain}"


def covers(pattern: str, host: str) -> bool:
    """Whether a host, or a wildcard (``*.shop.svc.cluster.local``, ``*``), takes in a host."""
    if pattern.startswith("*"):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return pattern == host


def most_specific(patterns: Iterable[str], host: str) -> str | None:
    """B7: the exact host, else the longest wildcard that takes it in."""
    found = [pattern for pattern in patterns if covers(pattern, host)]
    return max(found, key=lambda pattern: (not pattern.startswith("*"), len(pattern)), default=None)


def aliases(name: str, namespace: str, client_namespace: str, domain: str) -> tuple[str, ...]:
    """§1.0: the names under which a client of a namespace reaches a Service."""
    full = f"{name}.{namespace}.svc.{domain}"
    common = (full, f"{full}.", f"{name}.{namespace}", f"{name}.{namespace}.svc")
    return (*common, name) if namespace == client_namespace else common
