"""The certificate in force, whoever brought it: held, handed to whoever waits for another one, and judged for its end.

It deliberately fetches nothing and renews nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    from collections.abc import Sequence

DYING_SHARE = 0.1
DYING_SECONDS = 60.0
"""A certificate is about to die in the last tenth of its life, and in its last minute at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCertificate:
    """One key, its chain (leaf first, roots last: IST-CHAIN) and the roots that peers are judged by."""

    key_pem: bytes
    chain_pem: bytes
    root_pem: bytes
    serial: int
    issued: datetime
    expires: datetime


class HeldCertificate:
    """Keeps one current WorkloadCertificate and tells of each new one."""

    def __init__(self) -> None:
        self._news = asyncio.Condition()
        self.current: WorkloadCertificate | None = None
        """None until the first one has come."""
        self.trouble = ""
        """Why the last attempt to get another one failed; empty when it did not."""

    async def run(self) -> None:
        """Keep the certificate fresh, for ever."""
        raise NotImplementedError

    async def newer_than(self, seen: WorkloadCertificate | None) -> WorkloadCertificate:
        """Wait until there is a certificate other than ``seen``, and give it."""
        async with self._news:
            await self._news.wait_for(lambda: self.current is not seen)
            if self.current is None:
                raise AssertionError("a certificate never goes away")
            return self.current

    def why_not_ready(self, now: datetime | None = None) -> str:
        """Say what is wrong with the certificate; empty as long as it serves.

        A certificate service that is away is no reason: only a certificate
        that is about to die is, and then the trouble is told.
        """
        if self.current is None:
            return f"no certificate yet{f': {self.trouble}' if self.trouble else ''}"
        left = self.current.expires - (now or datetime.now(UTC))
        life = self.current.expires - self.current.issued
        if left > min(life * DYING_SHARE, timedelta(seconds=DYING_SECONDS)):
            return ""
        ends = f"ends in {left.total_seconds():.0f} s" if left > timedelta() else "has expired"
        return f"the certificate {ends} and there is no other: {self.trouble or 'its renewal is late'}"

    async def _put(self, fresh: WorkloadCertificate, *, renewed: bool = True) -> None:
        if renewed:
            self.trouble = ""
        async with self._news:
            self.current = fresh
            self._news.notify_all()


def leads_to(chain_pem: bytes, root_pem: bytes) -> bool:
    """Tell whether an element of the chain is one of the roots or was issued by one."""
    roots = x509.load_pem_x509_certificates(root_pem)
    chain = x509.load_pem_x509_certificates(chain_pem)
    # Of the chain's own roots only those above the leaf count: an answer repeats the whole bundle.
    path = [chain[0]]
    while above := next((one for one in chain if one not in path and _issued(path[-1], one)), None):
        path.append(above)
    return any(one in roots or any(_issued(one, root) for root in roots) for one in path)


def joined(pems: Sequence[str]) -> bytes:
    """Write PEM blocks one after the other, each on lines of its own."""
    return "".join(pem if pem.endswith("\n") else pem + "\n" for pem in pems).encode()


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
