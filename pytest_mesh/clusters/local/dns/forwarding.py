"""Questions about names outside the cluster: asked of the host's nameservers, as far as the node can reach them.

The node has its own network namespace: a nameserver on the host's loopback, or
behind a network that the node has no route to, counts as none, and the answer is then NXDOMAIN at once.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pytest_mesh.clusters.local.dns.datagrams import exchange

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
_PATIENCE = 2.0
"""Seconds for one nameserver."""


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    """Give the IPv4 nameservers of a resolv.conf, in order."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) >= 2 and words[0] == "nameserver" and ":" not in words[1]:
            found.append(words[1])
    return tuple(dict.fromkeys(found))


class Forwarder:
    """Passes queries on; ``own`` is the server's own address, which is never asked."""

    def __init__(self, servers: tuple[str, ...], own: str) -> None:
        self._servers = tuple(server for server in servers if server != own and not server.startswith("127."))

    async def ask(self, query: bytes) -> bytes | None:
        """Give the first answer of any nameserver; None when none can be reached."""
        for server in self._servers:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await exchange(server, 53, query)
            except (OSError, TimeoutError) as error:
                log.debug("nameserver %s: %s", server, error or type(error).__name__)
        return None
