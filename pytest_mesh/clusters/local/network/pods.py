"""A pod's place in the node's network: its address, its veth and its routes.

No bridge: each pod has one /32 routed veth, whose other end is in the node's
network namespace. Services are not this module's concern.
"""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING, Final

from pytest_mesh.clusters.local import namespaces
from pytest_mesh.clusters.local.network.netlink import Netlink, write_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

NODE_ADDRESS: Final = "10.244.0.1"
POD_RANGE: Final = "10.244.0.0/16"
NODE_INTERFACE: Final = "lo"
"""Where the node's address lives: a dummy interface would do as well, but not every kernel has that driver."""

POD_INTERFACE: Final = "eth0"

_NODE_SETTINGS: Final = (
    ("net/ipv4/ip_forward", "1"),
    # A new namespace copies the host's reverse path filter, which would drop what returns from a Service.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
)
_POD_SETTINGS: Final = (
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    # As containerd does: any uid may listen on port 80.
    ("net/ipv4/ip_unprivileged_port_start", "0"),
)


class Addresses:
    """Hands out pod addresses of 10.244.0.0/16; a released one is used again as late as possible."""

    def __init__(self, network: str = POD_RANGE, reserved: Sequence[str] = (NODE_ADDRESS,)) -> None:
        self._hosts = ipaddress.ip_network(network)
        self._taken = {int(ipaddress.ip_address(address)) for address in reserved}
        self._next = int(self._hosts.network_address)

    def take(self) -> str:
        """Give a free address; RuntimeError when none is left."""
        first, last = int(self._hosts.network_address) + 1, int(self._hosts.broadcast_address) - 1
        for _ in range(last - first + 1):
            self._next = first if self._next >= last else max(self._next + 1, first)
            if self._next not in self._taken:
                self._taken.add(self._next)
                return str(ipaddress.ip_address(self._next))
        raise RuntimeError(f"no free pod address is left in {self._hosts}")

    def release(self, address: str) -> None:
        """Make ``address`` free again."""
        self._taken.discard(int(ipaddress.ip_address(address)))


def interface_of(address: str) -> str:
    """Name the node's end of the pod's veth; the address makes it unique."""
    return f"pod{int(ipaddress.ip_address(address)) & 0xFFFF:04x}"


def set_up_node(address: str = NODE_ADDRESS) -> None:
    """Make this (new) network namespace the node's: lo, the node's address, forwarding."""
    with Netlink() as netlink:
        netlink.set_up(NODE_INTERFACE)
        netlink.add_address(NODE_INTERFACE, address)
    write_settings(_NODE_SETTINGS)


def join_new_pod(address: str, settings: Sequence[tuple[str, str]] = (), gateway: str = NODE_ADDRESS) -> None:
    """Move this process from the node's into a new network namespace and make that the pod's.

    For a short-lived single-threaded child: the namespace lives on in whoever
    holds a descriptor of it.
    """
    node_end = interface_of(address)
    with Netlink() as node:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            node.add_veth(node_end, POD_INTERFACE, own)
        finally:
            os.close(own)
        node.set_up(node_end)
        node.add_route(node_end, address, source=gateway)
        with Netlink() as pod:
            write_settings((*_POD_SETTINGS, *settings))
            pod.set_up("lo")
            pod.add_address(POD_INTERFACE, address)
            pod.set_up(POD_INTERFACE)
            pod.add_route(POD_INTERFACE, gateway)
            pod.add_route(POD_INTERFACE, "default", via=gateway, source=address)
