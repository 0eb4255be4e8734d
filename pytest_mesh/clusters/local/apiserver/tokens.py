"""ServiceAccount tokens: ES256 JSON Web Tokens with Kubernetes' claims, and the keys that verify them.

Pure but for the randomness of keys and token ids: the caller gives the time. It does not know
whether a claimed ServiceAccount or Pod exists: ``authentication`` asks the store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.contracts import Json

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""``iss`` of every token, and the only audience of the API server itself."""

LEEWAY = 60
"""Seconds of tolerance around the times in a token, as kube-apiserver has it."""

_HALF = 32  # bytes of r and of s in a P-256 signature


class InvalidTokenError(Exception):
    """A token that is ours in form and wrong in content; the text is the one that TokenReview shows."""


class ForeignTokenError(Exception):
    """A token that this issuer did not make: another authenticator may know it."""


class Signer:
    """Signs and verifies the tokens of one run with a key made for it."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id = _encode(hashlib.sha256(public).digest())

    def sign(self, claims: Json) -> str:
        """Give the compact form of a token with these claims."""
        header = {"alg": "ES256", "kid": self.key_id}
        signed = f"{_encode(_dump(header))}.{_encode(_dump(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode("ascii"), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def verify(self, token: str) -> Json:
        """Give the claims of a token of this issuer, signature verified, times and audiences not.

        Raises ForeignTokenError for what is no token of this issuer, InvalidTokenError for a bad signature.
        """
        try:
            head, body, signature_text = token.split(".")
            header, claims, signature = (
                json.loads(decode_segment(head)),
                json.loads(decode_segment(body)),
                decode_segment(signature_text),
            )
        except ValueError as error:
            raise ForeignTokenError("not a JSON Web Token") from error
        if not isinstance(header, dict) or not isinstance(claims, dict) or claims.get("iss") != ISSUER:
            raise ForeignTokenError("not issued here")
        if header.get("alg") != "ES256" or header.get("kid", self.key_id) != self.key_id:
            raise InvalidTokenError("invalid signature, no keys found")
        if len(signature) != 2 * _HALF:
            raise InvalidTokenError("square/go-jose: error in cryptographic primitive")
        encoded = encode_dss_signature(
            int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        )
        try:
            self._key.public_key().verify(encoded, f"{head}.{body}".encode("ascii"), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise InvalidTokenError("square/go-jose: error in cryptographic primitive") from error
        return claims

    def jwks(self) -> Json:
        """Give the JSON Web Key Set that ``/openid/v1/jwks`` serves."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "use": "sig",
            "kty": "EC",
            "kid": self.key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": _encode(numbers.x.to_bytes(_HALF, "big")),
            "y": _encode(numbers.y.to_bytes(_HALF, "big")),
        }
        return {"keys": [key]}


def discovery_document(server: str) -> Json:
    """Give what ``/.well-known/openid-configuration`` serves; ``server`` is the API server's https URL."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{server}/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }


def service_account_claims(
    *,
    service_account: Json,
    audiences: Sequence[str],
    now: int,
    lifetime: int,
    bound: tuple[str, Json] | None = None,
    node: Json | None = None,
) -> Json:
    """Make the claims of a ServiceAccount's token.

    ``now`` and ``lifetime`` are seconds. ``bound`` is the object whose end ends the token, as
    (``pod`` | ``secret`` | ``node``, object); ``node`` is the Node of a bound Pod, if it has one.
    """
    namespace, name = service_account["metadata"]["namespace"], service_account["metadata"]["name"]
    private: Json = {"namespace": namespace, "serviceaccount": reference(service_account)}
    if bound is not None:
        private[bound[0]] = reference(bound[1])
    if node is not None:
        private["node"] = reference(node)
    return {
        "aud": list(audiences),
        "exp": now + lifetime,
        "iat": now,
        "iss": ISSUER,
        "jti": str(uuid.uuid4()),
        "kubernetes.io": private,
        "nbf": now,
        "sub": f"system:serviceaccount:{namespace}:{name}",
    }


def check_times(claims: Json, now: float) -> None:
    """Raise InvalidTokenError unless ``now`` (seconds) lies in the token's life, with LEEWAY at both ends."""
    if now - LEEWAY > claims.get("exp", now):
        raise InvalidTokenError("service account token has expired")
    if now + LEEWAY < claims.get("nbf", now):
        raise InvalidTokenError("service account token is not valid yet")


def accepted_audiences(claims: Json, wanted: Sequence[str]) -> list[str]:
    """Give the token's audiences among ``wanted``; raise InvalidTokenError if there is none."""
    audiences = claims.get("aud") or [ISSUER]
    accepted = [audience for audience in audiences if audience in wanted]
    if not accepted:
        raise InvalidTokenError(
            f"token audiences {_go_list(audiences)} is invalid for the target audiences {_go_list(wanted)}"
        )
    return accepted


def reference(obj: Json) -> Json:
    """Give an object's name and, if it has one, uid: the form in which a token names objects."""
    metadata = obj["metadata"]
    return {"name": metadata["name"], **({"uid": metadata["uid"]} if metadata.get("uid") else {})}


def _go_list(items: Sequence[str]) -> str:
    return f"[{' '.join(json.dumps(item) for item in items)}]"


def _dump(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("utf-8")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_segment(text: str) -> bytes:
    """Decode unpadded base64url strictly; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
