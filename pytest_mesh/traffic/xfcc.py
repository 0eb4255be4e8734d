"""The header x-forwarded-client-cert: what the proxy of the answering pod says of its peer. Pure.

Of an appended header only the last element is the peer; what stands before it
came over the wire from the peer itself and proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mesh.identity.spiffe import SpiffeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who sent a request, as the answering pod's proxy saw it."""

    spiffe_id: str = ""
    """Empty when the request came without a client certificate (plaintext)."""
    by: str = ""
    """The answering side's own id."""
    hash: str = ""
    """SHA-256 of the client certificate, hex: it changes when the certificate rotates."""


def peer_of(headers: tuple[tuple[str, str], ...]) -> Peer:
    """Read the peer from the headers that reached the application.

    Raises ``SpiffeIdError`` (a ValueError) when the last element's URI is no SPIFFE ID.
    """
    values = [value for name, value in headers if name == "x-forwarded-client-cert"]
    if not values:
        return Peer()
    elements = split_quoted(values[-1], ",")
    fields: dict[str, str] = {}
    for pair in split_quoted(elements[-1], ";"):
        key, _, value = pair.strip().partition("=")
        # Of several URI fields the first stands: SVID-URI-ONE is judged on the certificate itself.
        fields.setdefault(key.lower(), _unquote(value))
    uri = fields.get("uri", "")
    if uri:
        SpiffeId.parse(uri)
    return Peer(spiffe_id=uri, by=fields.get("by", ""), hash=fields.get("hash", ""))


def split_quoted(text: str, separator: str) -> list[str]:
    """Split at a separator that stands outside double quotes; a backslash keeps the next character."""
    parts, current, quoted, escaped = [], "", False, False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped
        elif character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return value
