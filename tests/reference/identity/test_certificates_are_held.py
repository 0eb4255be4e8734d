"""When a certificate's end is told, which roots are followed, and what of mounted files is served."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.agent import environment, held_certificate, mounted_certificates, workload_certificates
from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.workload_keys import KeyKind
from mesh_reference.ca import authority

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def holding(issued: datetime, expires: datetime, trouble: str = "") -> held_certificate.HeldCertificate:
    held = held_certificate.HeldCertificate()
    held.current = held_certificate.WorkloadCertificate(
        key_pem=b"", chain_pem=b"", root_pem=b"", serial=1, issued=issued, expires=expires
    )
    held.trouble = trouble
    return held


def test_without_a_certificate_the_trouble_is_told():
    held = held_certificate.HeldCertificate()
    assert held.why_not_ready() == "no certificate yet"
    held.trouble = "the service is away"
    assert held.why_not_ready() == "no certificate yet: the service is away"


@given(st.floats(1, 90 * 86400), st.floats(0, 1.5))
def test_a_service_that_is_away_is_no_reason_until_the_certificate_is_about_to_die(life, age):
    held = holding(START, START + timedelta(seconds=life), "the service is away")
    reason = held.why_not_ready(START + timedelta(seconds=life * age))
    left = life * (1 - age)
    if left > min(life / 10, 60) + 1e-3:
        assert reason == ""
    elif left < min(life / 10, 60) - 1e-3:
        assert "the service is away" in reason
        assert ("has expired" in reason) == (left <= 0) or left < 1e-3


def test_at_half_life_and_right_after_nobody_is_told_anything():
    held = holding(START, START + 24 * HOUR, "the service is away")
    for age in (12 * HOUR, 23 * HOUR, 24 * HOUR - timedelta(seconds=61)):
        assert held.why_not_ready(START + age) == ""
    assert held.why_not_ready(START + 24 * HOUR - timedelta(seconds=59)).startswith("the certificate ends in 59 s")


# ------------------------------------------------------------------ roots by the mounted file


class Citadel:
    """Signs with the authority of the moment; counts what it signed."""

    def __init__(self, *authorities: authority.Authority) -> None:
        self.current = authorities[0]
        self.signed = 0

    async def create_certificate(self, csr_pem: str, ttl_seconds: int) -> list[str]:
        self.signed += 1
        identity = authority.Identity(trust_domain="cluster.local", namespace="shop", service_account="reviews")
        return self.current.sign(csr_pem, identity, ttl=timedelta(seconds=ttl_seconds), now=datetime.now(UTC))


@pytest.fixture
def following(monkeypatch, tmp_path):
    monkeypatch.setattr(workload_certificates, "FOLLOW_SECONDS", 0.01)

    @contextlib.asynccontextmanager
    async def following(citadel, key_kind=KeyKind()):  # noqa: B008 - frozen
        path = tmp_path / "root-cert.pem"
        path.write_text(citadel.current.root_pem)
        settings = environment.AgentSettings(
            pod_name="reviews-1",
            namespace="shop",
            address="10.0.0.1",
            service_account="reviews",
            paths=environment.Paths(root=path),
            key_kind=key_kind,
        )
        certificates = workload_certificates.WorkloadCertificates(citadel, settings)
        running = asyncio.create_task(certificates.run())
        try:
            async with asyncio.timeout(5):
                await certificates.newer_than(None)
                yield certificates, path
        finally:
            running.cancel()

    return following


@pytest.fixture(scope="module")
def old() -> authority.Authority:
    return authority.Authority.create("cluster.local", now=datetime.now(UTC))


@pytest.fixture(scope="module")
def new() -> authority.Authority:
    return authority.Authority.create("cluster.local", now=datetime.now(UTC))


@pytest.mark.parametrize("kind", [KeyKind(curve="P384"), KeyKind(rsa_bits=2048)])
def test_a_certificate_is_for_a_key_of_the_kind_that_the_environment_says(following, old, kind):
    async def run() -> None:
        async with following(Citadel(old), kind) as (certificates, _):
            held = certificates.current
            certified = x509.load_pem_x509_certificate(held.chain_pem).public_key()
            assert certified == serialization.load_pem_private_key(held.key_pem, None).public_key()
            assert certified.key_size == (kind.rsa_bits or 384)
            assert isinstance(certified, rsa.RSAPublicKey) == bool(kind.rsa_bits)

    asyncio.run(run())


def test_an_added_root_is_known_before_the_next_renewal(following, old, new):
    async def run() -> None:
        citadel = Citadel(old)
        async with following(citadel) as (certificates, path):
            first = certificates.current
            path.write_text(old.root_pem + new.root_pem)
            second = await certificates.newer_than(first)
            assert second.root_pem == (old.root_pem + new.root_pem).encode()
            assert (second.key_pem, second.chain_pem, second.serial) == (first.key_pem, first.chain_pem, first.serial)
            assert citadel.signed == 1

    asyncio.run(run())


def test_a_certificate_whose_root_is_taken_away_is_renewed_at_once(following, old, new):
    async def run() -> None:
        citadel = Citadel(old)
        async with following(citadel) as (certificates, path):
            first = certificates.current
            citadel.current = new
            path.write_text(new.root_pem)
            while certificates.current.serial == first.serial:
                await certificates.newer_than(certificates.current)
            assert held_certificate.leads_to(certificates.current.chain_pem, new.root_pem.encode())
            assert citadel.signed == 2

    asyncio.run(run())


def test_a_half_written_bundle_changes_nothing(following, old, new, until, monkeypatch):
    looks = [0]
    read = workload_certificates._bundle

    def counted(path):
        looks[0] += 1
        return read(path)

    monkeypatch.setattr(workload_certificates, "_bundle", counted)

    async def looked_again() -> None:
        due = looks[0] + 2
        await until(lambda: looks[0] >= due)

    async def run() -> None:
        async with following(Citadel(old)) as (certificates, path):
            first = certificates.current
            for damage in ("", "nonsense", (old.root_pem + new.root_pem)[:-100] + "x"):
                path.write_text(damage)
                await looked_again()
                assert certificates.current is first
            path.unlink()
            await looked_again()
            path.write_text(new.root_pem + old.root_pem)
            await until(lambda: certificates.current is not first)

    asyncio.run(run())


def test_a_chain_leads_to_its_own_roots_and_to_no_others(old, new, make_csr, reviews, now):
    chain = held_certificate.joined(old.sign(make_csr(), reviews, ttl=HOUR, now=datetime.now(UTC)))
    assert held_certificate.leads_to(chain, old.root_pem.encode())
    assert not held_certificate.leads_to(chain, new.root_pem.encode())
    # The bundle that comes with an answer proves nothing by itself.
    assert not held_certificate.leads_to(chain + new.root_pem.encode(), new.root_pem.encode())


# ------------------------------------------------------------------ files in place of the service


@pytest.fixture
def files(tmp_path):
    return mounted_certificates.Files(directory=tmp_path)


@pytest.fixture
def write(files, make_csr, reviews):
    def write(signer: authority.Authority, ttl: timedelta = HOUR, **changes: bytes) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        chain = signer.sign(make_csr(key), reviews, ttl=ttl, now=datetime.now(UTC))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        contents = {"chain": "".join(chain).encode(), "key": pem, "roots": chain[-1].encode(), **changes}
        for name, text in contents.items():
            getattr(files, name).write_bytes(text)
        return contents["key"]

    return write


def test_the_files_are_served_and_followed(files, write, old, until):
    async def run() -> None:
        first = write(old)
        certificates = mounted_certificates.MountedCertificates(files, poll_seconds=0.01)
        running = asyncio.create_task(certificates.run())
        try:
            assert (await certificates.newer_than(None)).key_pem == first
            held = certificates.current
            files.key.write_bytes(b"half of a ke")
            await until(lambda: "not an unencrypted PEM private key" in certificates.trouble)
            assert certificates.current is held
            assert certificates.why_not_ready() == ""
            second = write(old)
            await until(lambda: certificates.current.key_pem == second)
            assert certificates.trouble == ""
        finally:
            running.cancel()

    asyncio.run(run())


def test_an_unchanged_set_is_not_a_new_one(files, write, old):
    write(old)
    found = mounted_certificates.read(files, now=datetime.now(UTC))
    assert mounted_certificates.read(files, now=datetime.now(UTC), before=found) is found


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chain": b"nonsense"}, r"cert-chain\.pem: is not a list of PEM certificates"),
        ({"key": b"nonsense"}, r"key\.pem: is not an unencrypted PEM private key"),
        ({"roots": b""}, r"root-cert\.pem: is not a list"),
    ],
)
def test_a_file_at_fault_is_named(files, write, old, changes, reason):
    write(old, **changes)
    with pytest.raises(AgentError, match=reason):
        mounted_certificates.read(files, now=datetime.now(UTC))


def test_a_set_that_does_not_fit_together_is_not_served(files, write, old, new):
    write(old, roots=new.root_pem.encode())
    with pytest.raises(AgentError, match=r"root-cert\.pem: none of its certificates is above"):
        mounted_certificates.read(files, now=datetime.now(UTC))
    other = write(old)
    write(old, key=other)
    with pytest.raises(AgentError, match=r"key\.pem: is not the key of cert-chain\.pem"):
        mounted_certificates.read(files, now=datetime.now(UTC))
    write(old)
    with pytest.raises(AgentError, match=r"cert-chain\.pem: expired"):
        mounted_certificates.read(files, now=datetime.now(UTC) + 2 * HOUR)
    files.roots.unlink()
    with pytest.raises(AgentError, match=r"root-cert\.pem: cannot be read"):
        mounted_certificates.read(files, now=datetime.now(UTC))


def test_files_are_wanted_by_the_environment():
    given = {"POD_NAME": "a-1", "POD_NAMESPACE": "a", "INSTANCE_IP": "10.0.0.1"}
    assert environment.read({**given, "FILE_MOUNTED_CERTS": "true"}).file_mounted
    assert not environment.read(given).file_mounted
