"""A TLS handshake made from inside a pod: which chain a peer presents, and whether it lets the prober in.

Standard library only. It judges nothing: the chain goes back as DER, base64,
for the harness's rules. TLS 1.3 reports a missing or refused client
certificate only at the first read, so a probe is handshake, write and read.
"""

from __future__ import annotations

import base64
import socket
import ssl
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

Json = dict[str, Any]


_TYPES: dict[str, type | tuple[type, ...]] = {
    "host": str,
    "port": int,
    "alpn": (list, tuple),
    "server_name": str,
    "certificate_chain": str,
    "private_key": str,
    "tls": str,
    "ciphers": str,
    "timeout": (int, float),
}


_VERSIONS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class ProbeError(ValueError):
    """Arguments that are no probe's; the message names the field."""


def parse_probe(data: Json) -> Json:
    """Read the keyword arguments of :func:`probe` from JSON; raises :class:`ProbeError`."""
    if not isinstance(data, dict):
        raise ProbeError("a probe is a JSON object")
    for name, value in data.items():
        if name not in _TYPES:
            raise ProbeError(f"{name}: not known here (known: {', '.join(_TYPES)})")
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise ProbeError(f"{name}: {value!r} is of the wrong type")
    if data.get("tls") and data["tls"] not in _VERSIONS:
        raise ProbeError(f"tls: {data['tls']!r} is none of {', '.join(_VERSIONS)}")
    for name in ("host", "port"):
        if name not in data:
            raise ProbeError(f"{name}: is required")
    if bool(data.get("certificate_chain")) != bool(data.get("private_key")):
        raise ProbeError("certificate_chain, private_key: one without the other")
    return {**data, "alpn": tuple(data["alpn"])} if "alpn" in data else dict(data)


def probe(
    host: str,
    port: int,
    *,
    alpn: tuple[str, ...] = ("istio",),
    server_name: str = "",
    certificate_chain: str = "",
    private_key: str = "",
    tls: str = "",
    ciphers: str = "",
    timeout: float = 5.0,
) -> Json:
    """Shake hands with ``host:port`` and send one HTTP request.

    Returns ``chain`` (list of base64 DER, leaf first; empty when the handshake
    did not get that far), ``tls`` (version), ``alpn``, ``admitted`` (bytes came
    back after the request), ``failure`` and ``seconds``. Never raises for what
    the peer does.

    Args:
        host: address or name to connect to.
        port: the application's port, so that the pod's own redirect applies.
        alpn: protocols to offer.
        server_name: SNI; empty sends none.
        certificate_chain: PEM to present; empty presents none.
        private_key: PEM of its key.
        tls: the one version to offer, as ``TLSv1.1``; empty = whatever the library offers.
        ciphers: what to offer up to TLS 1.2, as OpenSSL writes it; empty = whatever the library offers.
        timeout: seconds for the whole probe.
    """
    started = time.monotonic()
    result: Json = {"chain": [], "tls": "", "alpn": "", "admitted": False, "failure": ""}
    try:
        context = _context(alpn, certificate_chain, private_key)
        _offer(context, tls, ciphers)
        with socket.create_connection((host, port), timeout=timeout) as plain:
            wrapped = context.wrap_socket(plain, server_hostname=server_name or None, do_handshake_on_connect=False)
            with wrapped:
                try:
                    wrapped.do_handshake()
                finally:
                    result["chain"] = _chain(wrapped)
                result |= {"tls": wrapped.version() or "", "alpn": wrapped.selected_alpn_protocol() or ""}
                result |= _ask(wrapped)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        result["failure"] = f"{type(error).__name__}: {error}"
    result["seconds"] = time.monotonic() - started
    return result


def _ask(wrapped: ssl.SSLSocket) -> Json:
    """Write and read. A peer that refuses late may have hung up before the write: its alert is read all the same."""
    unwritten: OSError | None = None
    try:
        wrapped.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
    except TimeoutError:
        raise
    except OSError as error:
        unwritten = error
    try:
        if wrapped.recv(1):
            return {"admitted": True}
    except OSError as error:
        told = unwritten if unwritten and not isinstance(error, ssl.SSLError) else error
        raise told from error
    if unwritten:
        raise unwritten
    return {"failure": "closed without an answer"}


def _context(alpn: tuple[str, ...], certificate_chain: str, private_key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # judged by the harness, which has the trust bundle
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if certificate_chain:
        with tempfile.TemporaryDirectory() as folder:
            chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
            chain.write_text(certificate_chain)
            key.touch(mode=0o600)
            key.write_text(private_key)
            context.load_cert_chain(chain, key)
    return context


def _offer(context: ssl.SSLContext, tls: str, ciphers: str) -> None:
    """Offer one version, and ciphers that a library of today leaves out by itself: whether they are taken is the question."""
    if tls or ciphers:
        context.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL=0")
    if tls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the old versions, which are meant here
            context.minimum_version = context.maximum_version = _VERSIONS[tls]


def _chain(wrapped: ssl.SSLSocket) -> list[str]:
    """Give the peer's chain; before Python 3.13 only the C object behind the socket has it."""
    inner = getattr(wrapped, "_sslobj", None)
    getter = getattr(wrapped, "get_unverified_chain", None) or getattr(inner, "get_unverified_chain", None)
    if getter is None:
        return []
    try:
        elements = getter() or []
    except ValueError:  # no handshake took place
        return []
    encoded = [item if isinstance(item, bytes) else ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in elements]
    return [base64.b64encode(der).decode() for der in encoded]
