"""istiod's own certificate on its ports: made anew under each successor of the authority, and long before its end.

It deliberately serves nothing: it gives credentials to whoever opens a port.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh_reference.ca.succession import Succession

LIFETIME = timedelta(days=365)


class ServerIdentity:
    """The pair in force, and every credential that follows it."""

    def __init__(self, succession: Succession, dns_names: Sequence[str]) -> None:
        self._succession = succession
        self._dns_names = tuple(dns_names)
        self._contexts: list[ssl.SSLContext] = []
        self._known = succession.current
        self.chain_pem, self._key_pem = succession.issue_server_certificate(self._dns_names, ttl=LIFETIME)

    def grpc_credentials(self, *, client_certificates: bool = False) -> grpc.ServerCredentials:
        """Give credentials that show the certificate in force at each handshake.

        ``client_certificates``: a client must show one, too, that leads to a root in force.
        """
        configuration = partial(self._configuration, with_roots=client_certificates)
        return grpc.dynamic_ssl_server_credentials(
            configuration(), configuration, require_client_authentication=client_certificates
        )

    def tls_context(self) -> ssl.SSLContext:
        """Give a context that shows the certificate in force at each handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context)
        self._contexts.append(context)
        return context

    async def follow(self) -> None:
        """Take another certificate under each successor, and at half of its life; never returns."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIFETIME.total_seconds() / 2):
                    await self._succession.newer_than(self._known)
            self.renew()

    def renew(self) -> None:
        """Take another certificate, under the authority in force."""
        self._known = self._succession.current
        self.chain_pem, self._key_pem = self._succession.issue_server_certificate(self._dns_names, ttl=LIFETIME)
        for context in self._contexts:
            self._load(context)

    def _configuration(self, *, with_roots: bool) -> grpc.ServerCertificateConfiguration:
        roots = self._succession.root_pem.encode() if with_roots else None
        return grpc.ssl_server_certificate_configuration([(self._key_pem.encode(), self.chain_pem.encode())], roots)

    def _load(self, context: ssl.SSLContext) -> None:
        # The library reads certificates from files only; the directory is gone before anything is served.
        with tempfile.TemporaryDirectory() as directory:
            pem = Path(directory) / "server.pem"
            pem.touch(mode=0o600)
            pem.write_text(self._key_pem + self.chain_pem)
            context.load_cert_chain(pem)
