"""One JSON object and its file descriptors, over a Unix SEQPACKET socket: how node and spawner talk."""

from __future__ import annotations

import array
import json
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MESSAGE_LIMIT: Final = 1 << 20
"""Bytes that one message may have; argv and env of one container fit many times."""
DESCRIPTOR_LIMIT: Final = 8
_SO_SNDBUFFORCE: Final = 32


def pair() -> tuple[socket.socket, socket.socket]:
    """Give two connected ends that take messages of MESSAGE_LIMIT; in a user namespace, of ``net.core.wmem_max`` at most."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        try:
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, MESSAGE_LIMIT)
        except PermissionError:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)
    return ends


def send(end: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message; the descriptors stay the sender's to close."""
    socket.send_fds(end, [json.dumps(message).encode()], list(fds))


def receive(end: socket.socket, flags: int = 0) -> tuple[dict[str, Any] | None, list[int]]:
    """Give one message and its descriptors, which no child inherits; None when the other end is closed.

    ``socket.recv_fds`` of Python 3.11 drops its flags, and with them close-on-exec.
    """
    width = array.array("i").itemsize
    data, ancillary, _, _ = end.recvmsg(
        MESSAGE_LIMIT, socket.CMSG_LEN(DESCRIPTOR_LIMIT * width), flags | socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % width])
    return (json.loads(data) if data else None), list(fds)
