"""Who a request comes from, and the two APIs about it: TokenRequest and TokenReview.

Bearer tokens only: the run's admin token and ServiceAccount tokens. There are no client
certificates and no users. It does not authorize: ``rights`` does.
"""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
import time
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors, tokens
from pytest_mesh.clusters.local.apiserver.users import ADMIN, UserInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.contracts import Json

EXPIRATION = 3600
"""Seconds that a token lives if the request does not say."""

MIN_EXPIRATION = 600
MAX_EXPIRATION = 1 << 32
"""Bounds of ``spec.expirationSeconds``, Kubernetes' own."""

REMEMBERED = 4096
"""Tokens whose claims are kept, so that their signatures are verified once."""

_BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


class Authenticator:
    """Knows the tokens of one run. ``clock`` gives seconds since the epoch."""

    def __init__(self, store: Store, *, admin_token: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.admin_token = admin_token or secrets.token_urlsafe(32)
        self.signer = tokens.Signer()
        self._store = store
        self._clock = clock
        self._claims: dict[str, Json] = {}

    def authenticate(self, headers: Mapping[str, str]) -> UserInfo:
        """Give the user of a request; raises StatusError 401 without credentials and for bad ones.

        Nobody is anonymous: whoever may reach this API may run processes as root.
        """
        header = headers.get("Authorization", "")
        if not header:
            token = websocket_token(headers.get("Sec-WebSocket-Protocol", ""))
        else:
            scheme, _, token = header.strip().partition(" ")
            if scheme.lower() != "bearer":
                raise errors.unauthorized()
        if not token:
            raise errors.unauthorized()
        try:
            user, _ = self._identify(token.strip(), [tokens.ISSUER])
        except (tokens.ForeignTokenError, tokens.InvalidTokenError) as error:
            raise errors.unauthorized() from error
        return user

    def review(self, body: Json) -> Json:
        """Answer a TokenReview: ``body`` with its ``status``. A bad token is an answer, not an error."""
        spec = body.get("spec") or {}
        token = spec.get("token", "")
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        audiences = list(spec.get("audiences") or [tokens.ISSUER])
        review: Json = {
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": body.get("metadata") or {},
            "spec": spec,
        }
        try:
            user, accepted = self._identify(token, audiences)
        except tokens.ForeignTokenError:
            review["status"] = {"user": {}, "error": "invalid bearer token"}
        except tokens.InvalidTokenError as error:
            review["status"] = {"user": {}, "error": f"[invalid bearer token, {error}]"}
        else:
            review["status"] = {"authenticated": True, "user": user.to_json(), "audiences": accepted}
        return review

    def request(self, namespace: str, name: str, body: Json) -> Json:
        """Answer a TokenRequest for a ServiceAccount: ``body``, completed, with the token in its ``status``."""
        account = self._store.get("serviceaccounts", namespace, name)
        if account is None:
            raise errors.not_found("serviceaccounts", "", name)
        metadata, spec = _checked_request(body, account)
        bound, node = self._bound_object(account, spec.get("boundObjectRef"))
        now = self._clock()
        claims = tokens.service_account_claims(
            service_account=account,
            audiences=spec["audiences"],
            now=int(now),
            lifetime=spec["expirationSeconds"],
            bound=bound,
            node=node,
        )
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {**metadata, "creationTimestamp": _timestamp(now)},
            "spec": spec,
            "status": {
                "token": self.signer.sign(claims),
                "expirationTimestamp": _timestamp(int(now) + spec["expirationSeconds"]),
            },
        }

    def _bound_object(self, account: Json, ref: Json | None) -> tuple[tuple[str, Json] | None, Json | None]:
        """Find what a token is bound to: (claim name, object), and the Node of a Pod."""
        if not ref:
            return None, None
        kind, version, name = ref.get("kind", ""), ref.get("apiVersion", ""), ref.get("name", "")
        plural = _BINDABLE.get((version, kind))
        if plural is None:
            raise errors.bad_request(f"cannot bind token to object of type {version}, Kind={kind}")
        namespace = "" if kind == "Node" else account["metadata"]["namespace"]
        obj = self._store.get(plural, namespace, name)
        if obj is None:
            raise errors.not_found(plural, "", name)
        node: Json | None = None
        if kind == "Pod":
            account_name = account["metadata"]["name"]
            if obj["spec"].get("serviceAccountName") != account_name:
                raise errors.bad_request(
                    f'cannot bind token for serviceaccount "{account_name}" to pod running with different '
                    "serviceaccount name."
                )
            if node_name := obj["spec"].get("nodeName"):
                node = self._store.get("nodes", "", node_name) or {"metadata": {"name": node_name}}
        if ref.get("uid") and ref["uid"] != obj["metadata"]["uid"]:
            raise errors.conflict(
                kind,
                "",
                name,
                f"the UID in the bound object reference ({ref['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        return (kind.lower(), obj), node

    def _identify(self, token: str, audiences: Sequence[str]) -> tuple[UserInfo, list[str]]:
        """Give a token's user and its audiences among ``audiences``; raises the errors of ``tokens``."""
        if hmac.compare_digest(token.encode(), self.admin_token.encode()):
            if tokens.ISSUER not in audiences:
                raise tokens.ForeignTokenError("the admin token is for the API server only")
            return ADMIN, [tokens.ISSUER]
        claims = self._verified(token)
        accepted = tokens.accepted_audiences(claims, audiences)
        tokens.check_times(claims, self._clock())
        private = claims["kubernetes.io"]
        self._check_still_there(private)
        return _service_account_user(claims), accepted

    def _verified(self, token: str) -> Json:
        """Give the claims of a token, to be read only. A signature that was found right once is right for ever."""
        claims = self._claims.get(token)
        if claims is None:
            claims = self.signer.verify(token)
            if len(self._claims) >= REMEMBERED:
                self._claims.clear()
            self._claims[token] = claims
        return claims

    def _check_still_there(self, private: Json) -> None:
        """Refuse a token whose ServiceAccount or bound object is gone, replaced or long being deleted."""
        namespace, account_ref = private["namespace"], private["serviceaccount"]
        account = self._store.get("serviceaccounts", namespace, account_ref["name"])
        if account is None:
            raise tokens.InvalidTokenError(f'serviceaccounts "{account_ref["name"]}" not found')
        uid = account["metadata"]["uid"]
        if uid != account_ref["uid"]:
            raise tokens.InvalidTokenError(f"service account UID ({uid}) does not match claim ({account_ref['uid']})")
        if self._deleted_long_ago(account):
            raise tokens.InvalidTokenError(f"service account {namespace}/{account_ref['name']} has been deleted")
        for claim, plural, title, owner in (
            ("secret", "secrets", "secret", "service account secret"),
            ("pod", "pods", "pod", "service account pod"),
            ("node", "nodes", "node", "service account node"),
        ):
            ref = private.get(claim)
            if ref is None or (claim == "node" and "pod" in private):
                continue
            obj = self._store.get(plural, "" if claim == "node" else namespace, ref["name"])
            if obj is None or self._deleted_long_ago(obj):
                raise tokens.InvalidTokenError("service account token has been invalidated")
            if obj["metadata"]["uid"] != ref["uid"]:
                raise tokens.InvalidTokenError(
                    f"{title} UID ({obj['metadata']['uid']}) does not match {owner} ref claim ({ref['uid']})"
                )

    def _deleted_long_ago(self, obj: Json) -> bool:
        deleted = obj["metadata"].get("deletionTimestamp")
        if not deleted:
            return False
        return dt.datetime.fromisoformat(deleted).timestamp() < self._clock() - tokens.LEEWAY


def websocket_token(protocols: str) -> str:
    """Give the token that a browser's WebSocket carries as a subprotocol, or an empty string."""
    prefix = "base64url.bearer.authorization.k8s.io."
    for protocol in protocols.split(","):
        if protocol.strip().startswith(prefix):
            try:
                return tokens.decode_segment(protocol.strip().removeprefix(prefix)).decode("utf-8")
            except ValueError as error:
                raise errors.unauthorized() from error
    return ""


def _checked_request(body: Json, account: Json) -> tuple[Json, Json]:
    """Give a TokenRequest's metadata and spec with defaults; raises StatusError for what may not be asked."""
    own = account["metadata"]
    metadata = dict(body.get("metadata") or {})
    for key, what in (("name", "name"), ("namespace", "namespace")):
        if metadata.get(key) and metadata[key] != own[key]:
            cause = errors.Cause(
                field=f"metadata.{key}",
                message=f'Invalid value: "{metadata[key]}": must match the service account {what} if specified',
            )
            raise errors.invalid("TokenRequest", "authentication.k8s.io", own["name"], [cause])
    if metadata.get("uid") and metadata["uid"] != own["uid"]:
        raise errors.conflict(
            "TokenRequest",
            "authentication.k8s.io",
            own["name"],
            f"the UID in the token request ({metadata['uid']}) does not match the UID of the service account "
            f"({own['uid']})",
        )
    metadata.update(name=own["name"], namespace=own["namespace"], uid=own["uid"])
    spec = dict(body.get("spec") or {})
    spec["audiences"] = list(spec.get("audiences") or [tokens.ISSUER])
    lifetime = spec.get("expirationSeconds")
    spec["expirationSeconds"] = lifetime = EXPIRATION if lifetime is None else lifetime
    spec.setdefault("boundObjectRef", None)
    why = ""
    if not isinstance(lifetime, int):
        why = "must be an integer"
    elif lifetime < MIN_EXPIRATION:
        why = "may not specify a duration less than 10 minutes"
    elif lifetime > MAX_EXPIRATION:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = errors.Cause(field="spec.expirationSeconds", message=f"Invalid value: {lifetime}: {why}")
        raise errors.invalid("TokenRequest", "authentication.k8s.io", "", [cause])
    return metadata, spec


def _service_account_user(claims: Json) -> UserInfo:
    private = claims["kubernetes.io"]
    namespace = private["namespace"]
    extra: dict[str, tuple[str, ...]] = {}
    if claims.get("jti"):
        extra["authentication.kubernetes.io/credential-id"] = (f"JTI={claims['jti']}",)
    for claim in ("node", "pod"):
        for part in ("name", "uid"):
            if value := (private.get(claim) or {}).get(part):
                extra[f"authentication.kubernetes.io/{claim}-{part}"] = (value,)
    return UserInfo(
        username=claims["sub"],
        uid=private["serviceaccount"]["uid"],
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
        extra=extra,
    )


def _timestamp(seconds: float) -> str:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
