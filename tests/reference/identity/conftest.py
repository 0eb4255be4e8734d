"""What the identity tests share: a fixed moment, authorities, CSRs, and a Kubernetes that only knows tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_reference.ca import authority

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def signer() -> authority.Authority:
    return authority.Authority.create("cluster.local", now=NOW, clock=lambda: NOW)


@pytest.fixture(scope="session")
def reviews() -> authority.Identity:
    return authority.Identity(trust_domain="cluster.local", namespace="shop", service_account="reviews")


@pytest.fixture(scope="session")
def make_csr():
    def make(key: Any = None, *, common_name: str = "", extensions: tuple[tuple[Any, bool], ...] = ()) -> str:
        names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        key = key or ec.generate_private_key(ec.SECP256R1())
        algorithm = None if type(key).__name__.startswith(("Ed25519", "Ed448", "OpenSSLEd")) else hashes.SHA256()
        return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()

    return make


class TokenBook:
    """A Kubernetes API that only reviews tokens; ``status`` maps a token to TokenReview's status."""

    def __init__(self) -> None:
        self.reviews = 0
        self.status: dict[str, dict[str, Any]] = {}

    def add(self, token: str, username: str, **changes: Any) -> None:
        groups = ["system:serviceaccounts", "system:authenticated"]
        user = {"username": username, "groups": groups, "extra": {"authentication.kubernetes.io/pod-name": ["pod-1"]}}
        self.status[token] = {"authenticated": True, "audiences": ["istio-ca"], "user": user, **changes}

    async def token_review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        self.reviews += 1
        assert audiences == ["istio-ca"]
        return self.status.get(token, {"authenticated": False, "error": "unknown token"})


@pytest.fixture
def tokens() -> TokenBook:
    book = TokenBook()
    book.add("good", "system:serviceaccount:shop:reviews")
    return book


@pytest.fixture(scope="session")
def settings() -> SimpleNamespace:
    return SimpleNamespace(cluster_id="Kubernetes", trust_domain="cluster.local", root_namespace="istio-system")
