"""What one proxy has asked for of one type, what it was sent, and what it said of it: the rules of ADS. Pure.

Names, nonces, versions, ACK and NACK, for the state of the world and for delta. What is sent is decided elsewhere.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from envoy.service.discovery.v3 import discovery_pb2

    from mesh_reference.xds.resources import Encoded

WILDCARD = "*"
OUTSTANDING = 1000
"""Responses of one type that may wait for their answers; of more the oldest are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A NACK: the version that the proxy refused, and its words. It stays until the proxy takes a later version."""

    version: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request wants answered. ``everything`` = all that is subscribed; else ``names``; ``first`` of its stream.

    An answer is due even when it is empty; a request that wants none gives None instead.
    """

    everything: bool = False
    names: frozenset[str] = frozenset()
    first: bool = False


@dataclass(slots=True, kw_only=True)
class Subscription:
    """One type on one stream. ``sent`` is name: version of all that the proxy holds, as far as is known."""

    type_url: str
    names: set[str] = field(default_factory=set)
    wildcard: bool = False
    sent: dict[str, str] = field(default_factory=dict)
    nonce: str = ""
    version: str = ""
    acked_nonce: str = ""
    acked_version: str = ""
    rejection: Rejection | None = None
    refused: set[str] = field(default_factory=set)
    """Resources that were found to be what the proxy refused; each stays until another version of it is sent."""

    outstanding: deque[str] = field(default_factory=lambda: deque(maxlen=OUTSTANDING))
    """Nonces that an answer may have: the last one that was answered, and those sent since."""

    def note_sent(self, nonce: str, version: str) -> None:
        self.nonce, self.version = nonce, version
        self.outstanding.append(nonce)

    def awaits(self, nonce: str) -> bool:
        """Whether an answer with this nonce may come: answers come in the order of responses, so none to one before the last."""
        if nonce and nonce not in self.outstanding:
            return False
        while nonce and self.outstanding[0] != nonce:
            self.outstanding.popleft()
        return True

    def acknowledged(self, request: discovery_pb2.DiscoveryRequest | discovery_pb2.DeltaDiscoveryRequest) -> bool:
        """Note an ACK of the last response; False, and nothing is noted, where the request is something else."""
        if not self.nonce or request.response_nonce != self.nonce or request.HasField("error_detail"):
            return False
        if not self.awaits(self.nonce):
            return False
        self._settle(request)
        return True

    def receive_state(self, request: discovery_pb2.DiscoveryRequest, *, whole: bool) -> Asked | None:
        """A request of the state-of-the-world protocol. ``whole``: no names mean all (clusters, listeners).

        A request without a nonce is the first of its stream. One with an old nonce is about an older response: the
        proxy will speak again once it has read the newer one.
        """
        first = not request.response_nonce
        if not first and request.response_nonce != self.nonce:
            return None
        names = set(request.resource_names) - {WILDCARD}
        if first:
            self.wildcard = whole and (not names or WILDCARD in request.resource_names)
            self.names = names
            self.sent.clear()
            return Asked(everything=True, first=True)
        self._settle(request)
        added = names - self.names
        for gone in self.names - names:
            self.sent.pop(gone, None)
        self.names = names
        return Asked(names=frozenset(added)) if added else None

    def receive_delta(self, request: discovery_pb2.DeltaDiscoveryRequest, *, whole: bool) -> Asked | None:
        """A request of the delta protocol. Its subscriptions count whatever its nonce is."""
        first = not self.nonce and not self.names and not self.wildcard
        if request.response_nonce and request.response_nonce == self.nonce:
            self._settle(request)
        added = set(request.resource_names_subscribe)
        dropped = set(request.resource_names_unsubscribe)
        starts = WILDCARD in added or (first and whole and not added)
        if starts:
            self.wildcard = True
        if WILDCARD in dropped:
            self.wildcard = False
        added.discard(WILDCARD)
        self.names |= added
        self.names -= dropped
        for name in dropped:
            self.sent.pop(name, None)
        if first:
            self.sent.update(request.initial_resource_versions)
        if starts:
            return Asked(everything=True, first=first)
        return Asked(names=frozenset(added), first=first) if added else None

    def _settle(self, request: discovery_pb2.DiscoveryRequest | discovery_pb2.DeltaDiscoveryRequest) -> None:
        if request.HasField("error_detail"):
            self.rejection = Rejection(version=self.version, message=request.error_detail.message)
        else:
            self.acked_nonce, self.acked_version = self.nonce, self.version
            if not self.refused:
                self.rejection = None

    def stale(self, found: Mapping[str, Encoded]) -> dict[str, Encoded]:
        """Those that the proxy holds in another version or not at all, in their order."""
        sent = self.sent
        return {name: made for name, made in found.items() if sent.get(name) != made.version}
