"""Interfaces, addresses and routes by rtnetlink: what ``ip`` does, without starting ``ip``.

Knows only the few requests that a pod's network needs, IPv4 only. A socket
belongs to the network namespace in which it was opened.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEWLINK: Final = 16
_NEWADDR: Final = 20
_NEWROUTE: Final = 24
_REQUEST: Final = 0x1 | 0x4  # NLM_F_REQUEST | NLM_F_ACK
_CREATE: Final = 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
_ERROR: Final = 2
_IFF_UP: Final = 1
_SCOPE_LINK: Final = 253
_SCOPE_GLOBAL: Final = 0
_NESTED: Final = 0x8000
_SIOCGIFINDEX: Final = 0x8933


class Netlink:
    """An rtnetlink socket of this thread's network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def add_veth(self, name: str, peer: str, peer_namespace: int) -> None:
        """Add a pair: ``name`` here, ``peer`` in the network namespace behind the descriptor."""
        other = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
        other += _attribute(3, _text(peer)) + _attribute(28, struct.pack("=i", peer_namespace))
        info = _attribute(1, b"veth") + _attribute(2 | _NESTED, _attribute(1 | _NESTED, other))
        self._link(_attribute(3, _text(name)) + _attribute(18 | _NESTED, info))

    def set_up(self, name: str) -> None:
        """Bring the interface ``name`` up."""
        header = struct.pack("=BxHiII", 0, 0, self._index(name), _IFF_UP, _IFF_UP)
        self._request(_NEWLINK, 0, header, f"set link {name} up")

    def add_address(self, name: str, address: str, prefix: int = 32) -> None:
        """Give the interface ``name`` the IPv4 ``address``."""
        packed = socket.inet_aton(address)
        header = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, _SCOPE_GLOBAL, self._index(name))
        self._request(_NEWADDR, _CREATE, header + _attribute(2, packed) + _attribute(1, packed), f"add {address}")

    def add_route(self, name: str, destination: str, *, via: str = "", source: str = "") -> None:
        """Route the IPv4 host or network ``destination`` (``default`` = all) to ``name``, ``via`` a gateway or not."""
        network, _, prefix = destination.partition("/")
        length = 0 if network == "default" else int(prefix or 32)
        scope = _SCOPE_GLOBAL if via else _SCOPE_LINK
        # table main, protocol boot, type unicast
        message = struct.pack("=BBBBBBBBI", socket.AF_INET, length, 0, 0, 254, 3, scope, 1, 0)
        if length:
            message += _attribute(1, socket.inet_aton(network))
        message += _attribute(4, struct.pack("=I", self._index(name)))
        if via:
            message += _attribute(5, socket.inet_aton(via))
        if source:
            message += _attribute(7, socket.inet_aton(source))
        self._request(_NEWROUTE, _CREATE, message, f"route {destination} dev {name}")

    def _index(self, name: str) -> int:
        # Not if_nametoindex: that asks the caller's namespace, this asks the socket's.
        answer = fcntl.ioctl(self._socket, _SIOCGIFINDEX, struct.pack("16s16x", name.encode()))
        (index,) = struct.unpack_from("=i", answer, 16)
        return int(index)

    def _link(self, attributes: bytes) -> None:
        header = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
        self._request(_NEWLINK, _CREATE, header + attributes, "add link")

    def _request(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self._sequence += 1
        header = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            answer = self._socket.recv(65536)
            _, answer_kind, _, sequence, _ = struct.unpack_from("=IHHII", answer)
            if answer_kind == _ERROR and sequence == self._sequence:
                (code,) = struct.unpack_from("=i", answer, 16)
                if code:
                    raise OSError(-code, f"netlink: {what}: {os.strerror(-code)}")
                return


def write_settings(settings: Sequence[tuple[str, str]]) -> None:
    """Write kernel settings (``net/ipv4/ip_forward``, value) of this network namespace; one it lacks is skipped."""
    for name, value in settings:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/{name}", "w", encoding="ascii") as file:  # noqa: PTH123  # pathlib costs more than the write
            file.write(value)


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"
