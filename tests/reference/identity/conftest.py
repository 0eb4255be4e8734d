"""What the identity tests share: a fixed moment, authorities, CSRs, and a Kubernetes that only knows tokens."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_reference.ca import authority
from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube.watching import Event
from mesh_reference.settings import Settings

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ca:
    """A certification authority of the tests' own making."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def leaf(self, *uris: str, begins: datetime, ends: datetime, clientauth: bool = True, ca: bool = False):
        """Give a workload's certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH if clientauth else ExtendedKeyUsageOID.CODE_SIGNING]
        builder = _builder(x509.Name([]), self.certificate.subject, key, begins, ends).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return Ca(certificate=builder.sign(self.key, hashes.SHA256()), key=key)


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, begins: datetime, ends: datetime):
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


@pytest.fixture(scope="session")
def make_ca():
    def make(
        name: str,
        issuer: Ca | None = None,
        *,
        key: Any = None,
        now: datetime = NOW,
        begins: timedelta = timedelta(hours=-1),
        lives: timedelta = timedelta(days=365),
        ca: bool = True,
        path_length: int | None = None,
        signs: bool = True,
    ) -> Ca:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
        above = issuer.certificate.subject if issuer else subject
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        certificate = (
            _builder(subject, above, key, now + begins, now + lives)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
            .add_extension(
                x509.KeyUsage(**{**usage, "digital_signature": not signs}, key_cert_sign=signs), critical=True
            )
            .sign(issuer.key if issuer else key, hashes.SHA256())
        )
        return Ca(certificate=certificate, key=key)

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
def settings() -> Settings:
    return Settings()


BUDGET_SECONDS = 5


class MemoryStore:
    """Objects by resource; every change reaches every watch."""

    def __init__(self) -> None:
        self.objects: dict[Any, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        self.watches: dict[Any, list[asyncio.Queue[Event]]] = defaultdict(list)
        self.writes = 0
        self.failures = 0
        self.before_create = lambda: None

    def put(self, resource: Any, obj: dict[str, Any]) -> None:
        self.objects[resource][_key(obj)] = copy.deepcopy(obj)
        self._tell(resource, Event("upsert", copy.deepcopy(obj)))

    def drop(self, resource: Any, namespace: str, name: str) -> None:
        self._tell(resource, Event("delete", self.objects[resource].pop((namespace, name))))

    async def get(self, resource, name, namespace=None):
        try:
            return copy.deepcopy(self.objects[resource][namespace or "", name])
        except KeyError:
            raise NotFound(f"{name} not found", status=404) from None

    async def create(self, resource, obj):
        self.before_create()
        if self.failures:
            self.failures -= 1
            raise ApiFailure("the API server is away")
        if _key(obj) in self.objects[resource]:
            raise Conflict("exists", status=409)
        self.writes += 1
        self.put(resource, obj)
        return obj

    async def replace(self, resource, obj):
        self.writes += 1
        self.put(resource, obj)
        return obj

    async def watch(self, resource, _namespace=None, **_selectors):
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self.watches[resource].append(queue)
        for obj in list(self.objects[resource].values()):
            yield Event("upsert", copy.deepcopy(obj))
        yield Event("synced", {})
        while True:
            yield await queue.get()

    def _tell(self, resource: Any, event: Event) -> None:
        for queue in self.watches[resource]:
            queue.put_nowait(event)


def _key(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def new_store() -> type[MemoryStore]:
    return MemoryStore


@pytest.fixture(scope="session")
def until():
    async def until(condition) -> None:
        async with asyncio.timeout(BUDGET_SECONDS):
            while not condition():  # noqa: ASYNC110 - a condition with a budget
                await asyncio.sleep(0.005)

    return until
