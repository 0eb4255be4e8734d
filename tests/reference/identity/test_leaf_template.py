"""What the template writes is, byte for byte, what the library would have written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca import authority
from mesh_reference.ca.leaf_template import LeafTemplate

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
AUTHORITIES = {
    name: authority.Authority.create("cluster.local", now=NOW, algorithm=name)
    for name in ("ECDSA-P256", "ECDSA-P384", "RSA-2048")
}
KEYS = [
    ec.generate_private_key(ec.SECP256R1()).public_key(),
    ec.generate_private_key(ec.SECP521R1()).public_key(),
    rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(),
]
MOMENTS = st.datetimes(min_value=datetime(2027, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def made_by_the_library(signer: authority.Authority, *, uri, key, serial, begins, ends) -> x509.Certificate:
    sample = signer._leaf(
        public_key=key,
        subject=x509.Name([]),
        names=[x509.UniformResourceIdentifier(uri)],
        ttl=timedelta(hours=1),
        now=NOW,
    )
    builder = x509.CertificateBuilder().subject_name(sample.subject).issuer_name(sample.issuer).public_key(key)
    for one in sample.extensions:
        builder = builder.add_extension(one.value, critical=one.critical)
    builder = builder.serial_number(serial).not_valid_before(begins).not_valid_after(ends)
    return builder.sign(signer._key, signer._hash)


@pytest.mark.parametrize("algorithm", AUTHORITIES)
@given(
    account=st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=1, max_size=253),
    key=st.sampled_from(KEYS),
    serial=st.integers(min_value=1, max_value=2**128),
    begins=MOMENTS,
    life=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=10_000)),
)
def test_a_filled_template_is_the_librarys_own_certificate(algorithm, account, key, serial, begins, life):
    signer = AUTHORITIES[algorithm]
    parts = {
        "uri": f"spiffe://cluster.local/ns/shop/sa/{account}",
        "key": key,
        "serial": serial,
        "begins": begins,
        "ends": begins + life,
    }

    leaf = signer._template.fill(**parts)

    read = x509.load_der_x509_certificate(leaf.der)
    wanted = made_by_the_library(signer, **parts)
    assert read.tbs_certificate_bytes == wanted.tbs_certificate_bytes
    assert (leaf.serial_number, leaf.not_valid_after_utc) == (wanted.serial_number, wanted.not_valid_after_utc)
    read.verify_directly_issued_by(signer.certificate)
    assert x509.load_pem_x509_certificate(leaf.pem.encode()) == read


def test_a_template_is_made_once_for_an_authority():
    signer = AUTHORITIES["ECDSA-P256"]

    assert isinstance(signer._template, LeafTemplate)
    assert signer._template is signer._template
