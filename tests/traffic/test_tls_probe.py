"""The TLS prober against servers that let it in, refuse it late, and do not speak TLS."""

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_mesh.workloads.tls_probe import ProbeError, parse_probe, probe

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    begin = datetime.now(UTC) - timedelta(minutes=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("identity")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def serving(context: ssl.SSLContext | None, answer: bytes = OK) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            connection, _ = listener.accept()
            plain = context is None
            with (
                connection,
                suppress(OSError),  # the refused probe is what the test looks at
                connection if plain else context.wrap_socket(connection, server_side=True) as peer,
            ):
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def server_context(identity: tuple[Path, Path], *, client_certificate: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    context.set_alpn_protocols(["istio"])
    if client_certificate:
        context.load_verify_locations(identity[0])
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_welcomed_probe_brings_the_chain_and_the_alpn(identity: tuple[Path, Path]) -> None:
    with serving(server_context(identity, client_certificate=False)) as port:
        result = probe("127.0.0.1", port)

    assert result["admitted"]
    assert len(result["chain"]) == 1
    assert result["alpn"] == "istio"


def test_a_refusal_after_the_tls_1_3_handshake_is_no_admission(identity: tuple[Path, Path]) -> None:
    with serving(server_context(identity, client_certificate=True)) as port:
        result = probe("127.0.0.1", port)

    assert not result["admitted"]
    assert len(result["chain"]) == 1
    assert result["failure"]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_probe_offers_the_one_version_that_it_is_told(identity: tuple[Path, Path], version: str) -> None:
    with serving(server_context(identity, client_certificate=False)) as port:
        assert probe("127.0.0.1", port, tls=version)["tls"] == version


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1"])
def test_an_old_version_is_really_offered(identity: tuple[Path, Path], version: str) -> None:
    old = server_context(identity, client_certificate=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with serving(old) as port:
        assert probe("127.0.0.1", port, tls=version)["tls"] == version
    with serving(server_context(identity, client_certificate=False)) as port:
        refused = probe("127.0.0.1", port, tls=version)
    assert (refused["chain"], refused["tls"], "ALERT" in refused["failure"]) == ([], "", True)


def test_a_cipher_that_the_server_has_not_is_refused_by_its_alert(identity: tuple[Path, Path]) -> None:
    strong = server_context(identity, client_certificate=False)
    strong.set_ciphers("ECDHE+AESGCM")
    with serving(strong) as port:
        refused = probe("127.0.0.1", port, tls="TLSv1.2", ciphers="ECDHE-ECDSA-AES128-SHA")
    assert (refused["chain"], "ALERT" in refused["failure"]) == ([], True)


def test_a_version_that_nobody_knows_is_no_probe() -> None:
    with pytest.raises(ProbeError, match="tls: 'SSLv2' is none of TLSv1, "):
        parse_probe({"host": "127.0.0.1", "port": 1, "tls": "SSLv2"})


def strangers(identity: tuple[Path, Path], why: str) -> dict[str, str]:
    """Nothing to present, or a certificate that the server refuses."""
    if why == "no certificate":
        return {}
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = key
    now = datetime.now(UTC)
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stranger")])
    if why == "expired":
        authority = x509.load_pem_x509_certificate(identity[0].read_bytes())
        issuer, issuer_key = authority.subject, serialization.load_pem_private_key(identity[1].read_bytes(), None)
        now -= timedelta(days=1)
    certificate = x509.CertificateBuilder(
        issuer, x509.Name([]), key.public_key(), 9, now - timedelta(minutes=1), now + timedelta(hours=1)
    ).sign(issuer_key, hashes.SHA256())
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return {
        "certificate_chain": certificate.public_bytes(encoding).decode(),
        "private_key": key.private_bytes(encoding, form, serialization.NoEncryption()).decode(),
    }


LATE = {
    "no certificate": "certificate required",
    "of another authority": "unknown ca",
    "expired": "certificate expired",
}


@pytest.mark.parametrize("why", LATE)
def test_tls_1_3_refuses_only_after_the_handshake_and_the_probe_still_tells_why(
    identity: tuple[Path, Path], why: str
) -> None:
    with serving(server_context(identity, client_certificate=True)) as port:
        result = probe("127.0.0.1", port, **strangers(identity, why))

    assert not result["admitted"]
    assert result["tls"] == "TLSv1.3"  # the handshake was through: it alone would have been taken for an admission
    assert len(result["chain"]) == 1
    assert LATE[why] in result["failure"].lower(), result


@pytest.mark.parametrize("why", LATE)
def test_tls_1_2_refuses_within_the_handshake(identity: tuple[Path, Path], why: str) -> None:
    context = server_context(identity, client_certificate=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with serving(context) as port:
        result = probe("127.0.0.1", port, **strangers(identity, why))

    assert not result["admitted"]
    assert result["tls"] == ""
    assert result["failure"]


def test_a_peer_that_hangs_up_after_the_handshake_has_admitted_nobody(identity: tuple[Path, Path]) -> None:
    with serving(server_context(identity, client_certificate=False), answer=b"") as port:
        result = probe("127.0.0.1", port)

    assert not result["admitted"]
    assert result["tls"] == "TLSv1.3"
    assert result["failure"]


def test_a_client_certificate_lets_the_probe_in(identity: tuple[Path, Path]) -> None:
    chain, key = identity
    with serving(server_context(identity, client_certificate=True)) as port:
        result = probe("127.0.0.1", port, certificate_chain=chain.read_text(), private_key=key.read_text())

    assert result["admitted"], result


def test_a_server_without_tls_is_a_failure_and_no_exception() -> None:
    with serving(None) as port:
        result = probe("127.0.0.1", port)

    assert not result["admitted"]
    assert result["chain"] == []
