"""Who sent a call: a projected ServiceAccount token, reviewed by the Kubernetes API.

It deliberately knows no certificates and no identities of other callers: a
bearer token with the right audience is the one proof it takes, and a refusal
says nothing of its reason to the caller (IST-CODES). The log does.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

logger = logging.getLogger(__name__)

AUDIENCE = "istio-ca"
"""Audience of the projected token (IST-TOKEN)."""
GROUP = "system:serviceaccounts"
BEARER = "bearer "
MAX_TOKEN_BYTES = 16 * 1024
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"


class AuthenticationError(MeshError):
    """The caller is not known. Its text is for the log; callers get ``REFUSAL`` only."""


REFUSAL = "request authenticate failure"
"""What every refused caller reads, whatever the reason."""


class TokenReviewer(Protocol):
    """The part of the Kubernetes client that is used here."""

    async def token_review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        """Give TokenReview's ``status``."""


class AuthenticationSettings(Protocol):
    """The part of the settings that is used here."""

    @property
    def cluster_id(self) -> str:
        """Name of this cluster, as proxies send it in ``clusterid`` metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated workload."""

    namespace: str
    service_account: str
    pod_name: str = ""
    """Empty when the token is not bound to a Pod."""
    pod_uid: str = ""


class Authenticator:
    """Turns a call's metadata into a Caller, by TokenReview with the audience ``istio-ca``."""

    def __init__(
        self,
        kube: TokenReviewer,
        settings: AuthenticationSettings,
        *,
        cache_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use ``kube`` for reviews.

        An accepted token is taken again for ``cache_seconds`` without asking: a
        starting proxy calls twice within that time, once for its certificate and
        once for its configuration. Longer would let the token of a deleted pod
        live on (M11). Refusals are never remembered. 0 turns the memory off.
        """
        self._kube = kube
        self._cluster_id = settings.cluster_id
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._accepted: dict[bytes, tuple[float, Caller]] = {}
        """The oldest first: all are kept for the same time."""

    async def authenticate(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Caller:
        """Give the caller that a gRPC call's metadata proves. Raises AuthenticationError."""
        token, digest, known = self._look(metadata)
        if known is not None:
            return known
        try:
            status = await self._kube.token_review(token, [AUDIENCE])
        except MeshError as error:
            raise AuthenticationError(f"the token could not be reviewed: {error}") from error
        caller = _caller(status)
        if self._cache_seconds > 0:
            self._remember(digest, caller)
        return caller

    def known(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Caller | None:
        """Give the caller where the answer is still in memory. Raises AuthenticationError as ``authenticate`` does."""
        return self._look(metadata)[2]

    def _look(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[str, bytes, Caller | None]:
        values = {key.lower(): value for key, value in metadata or ()}
        cluster_id = values.get("clusterid", "")
        if cluster_id not in {"", self._cluster_id}:
            raise AuthenticationError(f"unknown clusterid {cluster_id!r}; this cluster is {self._cluster_id!r}")
        token = _bearer(values.get("authorization", ""))
        digest = hashlib.sha256(token.encode()).digest()
        kept = self._accepted.get(digest)
        return token, digest, kept[1] if kept is not None and kept[0] > self._clock() else None

    def _remember(self, digest: bytes, caller: Caller) -> None:
        now = self._clock()
        while self._accepted:
            oldest = next(iter(self._accepted))
            if self._accepted[oldest][0] > now:
                break
            del self._accepted[oldest]
        self._accepted.pop(digest, None)  # so that it is the youngest
        self._accepted[digest] = (now + self._cache_seconds, caller)


def _bearer(authorization: str | bytes) -> str:
    text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
    if not text:
        raise AuthenticationError("no authorization metadata")
    if not text.lower().startswith(BEARER):
        raise AuthenticationError("authorization is not a bearer token")
    token = text[len(BEARER) :].strip()
    if not token or len(token) > MAX_TOKEN_BYTES:
        raise AuthenticationError(f"the bearer token has {len(token)} bytes; 1 to {MAX_TOKEN_BYTES} are taken")
    return token


def _caller(status: dict[str, Any]) -> Caller:
    """Read TokenReview's status by C5: authenticated, in the group, and named as a service account."""
    if not status.get("authenticated"):
        raise AuthenticationError(f"the token is not valid: {status.get('error') or 'no reason given'}")
    if AUDIENCE not in (status.get("audiences") or ()):
        raise AuthenticationError(f"the token is not for audience {AUDIENCE}: {status.get('audiences')}")
    user = status.get("user") or {}
    if GROUP not in (user.get("groups") or ()):
        raise AuthenticationError(f"user {user.get('username')!r} is not in group {GROUP}")
    match str(user.get("username", "")).split(":"):
        case ["system", "serviceaccount", namespace, service_account] if namespace and service_account:
            extra = user.get("extra") or {}
            return Caller(
                namespace=namespace,
                service_account=service_account,
                pod_name=_first(extra.get(POD_NAME)),
                pod_uid=_first(extra.get(POD_UID)),
            )
        case _:
            raise AuthenticationError(f"user {user.get('username')!r} is not a service account")


def _first(values: Sequence[str] | None) -> str:
    return values[0] if values else ""
