"""The authority in force and its lawful successors: a root is added, then signed with, then taken away.

The law: whoever holds the roots of the moment before, or a certificate of the
moment before, is not cut off by the change. It deliberately reads no Secret
and writes no ConfigMap.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

from mesh_reference.ca import metrics
from mesh_reference.ca.authority import Authority, SignerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

logger = logging.getLogger(__name__)

PRUNE_EVERY = 1024
"""Entries of the ledger between two sweeps of what has expired."""


class Succession:
    """Holds the authority in force, and remembers under which root each workload's newest certificate was issued.

    The memory is of this process: after a restart the operator's word is taken.
    """

    def __init__(
        self,
        first: Authority,
        *,
        plugged_in: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        metrics.ROOT_EXPIRY.set(first.anchor.not_valid_after_utc.timestamp())
        metrics.SIGNER_EXPIRY.set(first.certificate.not_valid_after_utc.timestamp())
        self.current = first
        self.plugged_in = plugged_in
        """Whether the operator brought it."""
        self._clock = clock
        self._news = asyncio.Condition()
        self._newest: dict[str, tuple[x509.Certificate, datetime]] = {}
        self._sweep_at = PRUNE_EVERY

    @property
    def trust_domain(self) -> str:
        return self.current.trust_domain

    @property
    def root_pem(self) -> str:
        """The trust bundle in force."""
        return self.current.root_pem

    def issue_server_certificate(
        self, dns_names: Sequence[str], *, ttl: timedelta = timedelta(days=365)
    ) -> tuple[str, str]:
        """Give chain and key for istiod's own port, as Authority does; its root stays until a newer one is issued."""
        now = self._clock()
        answer = self.current.issue_server_certificate(dns_names, ttl=ttl, now=now)
        self.note(f"istiod's own {dns_names[0]}", now + ttl, under=self.current)
        return answer

    def note(self, holder: str, expires: datetime, *, under: Authority) -> None:
        """Write down that ``holder`` has a certificate made by ``under``; an older one of the same holder is forgotten."""
        self._newest[holder] = (under.anchor, expires)
        if len(self._newest) > self._sweep_at:
            now = self._clock()
            self._newest = {name: kept for name, kept in self._newest.items() if kept[1] > now}
            self._sweep_at = max(2 * len(self._newest), PRUNE_EVERY)

    async def replace(self, successor: Authority) -> bool:
        """Put ``successor`` in force; False when it is the same. Raises SignerError when somebody would be cut off."""
        old = self.current
        if (successor.certificate, successor.roots, successor.intermediates) == (
            old.certificate,
            old.roots,
            old.intermediates,
        ):
            return False
        now = self._clock()
        holders = [anchor for anchor, expires in self._newest.values() if expires > now]
        if reason := unlawful(old, successor, holders):
            raise SignerError(reason)
        metrics.ROOT_EXPIRY.set(successor.anchor.not_valid_after_utc.timestamp())
        metrics.SIGNER_EXPIRY.set(successor.certificate.not_valid_after_utc.timestamp())
        async with self._news:
            self.current = successor
            self._news.notify_all()
        logger.info(
            "the authority changed: roots %s, signing under %s", titles(successor.roots), title(successor.anchor)
        )
        return True

    async def newer_than(self, seen: Authority) -> Authority:
        """Wait until another authority than ``seen`` is in force, and give it."""
        async with self._news:
            await self._news.wait_for(lambda: self.current is not seen)
            return self.current


def unlawful(old: Authority, new: Authority, holders: Sequence[x509.Certificate]) -> str:
    """Say whom the change from ``old`` to ``new`` would cut off; empty when nobody.

    ``holders`` are the roots above certificates that are in use. Pure.
    """
    if new.trust_domain != old.trust_domain:
        return f"the trust domain changes from {old.trust_domain} to {new.trust_domain}: that needs a restart"
    if not _knows(old.roots, new.anchor):
        return (
            f"it signs under {title(new.anchor)}, which no workload knows yet: first add that root "
            f"to the bundle ({titles(old.roots)}) and wait until everybody has it"
        )
    lost = [anchor for anchor in holders if not _knows(new.roots, anchor)]
    if lost:
        return (
            f"it takes away {title(lost[0])}, under which {len(lost)} certificates in use were issued: "
            "wait until they are renewed, or restart istiod to do it all the same"
        )
    return ""


def _knows(bundle: Sequence[x509.Certificate], anchor: x509.Certificate) -> bool:
    """Tell whether what ``anchor`` signed verifies by the bundle: a renewed root with the same key does as well."""
    return any(root.subject == anchor.subject and root.public_key() == anchor.public_key() for root in bundle)


def title(root: x509.Certificate) -> str:
    """Name a root for a message: subject and the beginning of its SHA-256."""
    return f"{root.subject.rfc4514_string()} [{root.fingerprint(hashes.SHA256()).hex()[:12]}]"


def titles(roots: Sequence[x509.Certificate]) -> str:
    """Name several roots."""
    return ", ".join(map(title, roots))
