"""Key, chain and roots from files that somebody else writes, in place of istiod's certificate service.

It deliberately asks nobody for anything: whoever mounts the files renews them.
A set that is half written or does not fit together is not taken; the last good one stays.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.held_certificate import HeldCertificate, WorkloadCertificate, leads_to

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where the three lie, by Istio's names."""

    directory: Path

    @property
    def chain(self) -> Path:
        return self.directory / "cert-chain.pem"

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    @property
    def roots(self) -> Path:
        return self.directory / "root-cert.pem"

    def present(self) -> bool:
        """Tell whether there is anything here to serve."""
        return self.chain.exists() and self.key.exists()


class MountedCertificates(HeldCertificate):
    """Serves what the files hold, and takes another set when it is whole."""

    def __init__(self, files: Files, *, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__()
        self._files = files
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Look at the files again and again, for ever."""
        while True:
            try:
                found = read(self._files, now=datetime.now(UTC), before=self.current)
            except AgentError as error:
                if str(error) != self.trouble:
                    logger.warning("%s%s", error, "; the last good set stays" if self.current else "")
                self.trouble = str(error)
            else:
                if found is not self.current:
                    logger.info("certificate %x from %s until %s", found.serial, self._files.directory, found.expires)
                    await self._put(found)
                self.trouble = ""
            await asyncio.sleep(self._poll_seconds)


def read(files: Files, *, now: datetime, before: WorkloadCertificate | None = None) -> WorkloadCertificate:
    """Give what the files hold; ``before`` itself when nothing changed. Raises AgentError naming the file at fault."""
    try:
        chain_pem, key_pem, root_pem = (path.read_bytes() for path in (files.chain, files.key, files.roots))
    except OSError as error:
        raise AgentError(f"{error.filename}: cannot be read ({error.strerror})") from error
    if before and (before.chain_pem, before.key_pem, before.root_pem) == (chain_pem, key_pem, root_pem):
        return before
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    except ValueError as error:
        raise AgentError(f"{files.chain}: is not a list of PEM certificates") from error
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AgentError(f"{files.key}: is not an unencrypted PEM private key") from error
    try:
        x509.load_pem_x509_certificates(root_pem)
    except ValueError as error:
        raise AgentError(f"{files.roots}: is not a list of PEM certificates") from error
    if leaf.public_key() != key.public_key():
        raise AgentError(f"{files.key}: is not the key of {files.chain.name}")
    if leaf.not_valid_after_utc <= now:
        raise AgentError(f"{files.chain}: expired at {leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    if not leads_to(chain_pem, root_pem):
        raise AgentError(f"{files.roots}: none of its certificates is above {files.chain.name}")
    return WorkloadCertificate(
        key_pem=key_pem,
        chain_pem=chain_pem,
        root_pem=root_pem,
        serial=leaf.serial_number,
        issued=leaf.not_valid_before_utc,
        expires=leaf.not_valid_after_utc,
    )
