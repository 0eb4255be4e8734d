"""Writes the first corpus: one right input for each target and those that are wrong in one thing.

``python tests/fuzz/seeds.py`` writes again what is missing; what the fuzzer found since is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pytest_mesh.identity import conduct, forging
from pytest_mesh.identity.presentations import World, presentations

CORPUS = Path(__file__).parent / "corpus"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DER = serialization.Encoding.DER
IDS = (
    "spiffe://example.org/ns/shop/sa/web", "spiffe://1.2.3.4/a", "spiffe://[::1]/a", "spiffe://me@Ex%61.org:1/a//b/../?q#f",
    "SPIFFE://a/b", "http://a/b", "spiffe:///a", "spiffe://td/foo\n", "spiffe://td/é", "",
)  # fmt: skip


def spiffe_ids() -> Iterator[tuple[str, bytes]]:
    for index, text in enumerate(IDS):
        yield f"id-{index}", text.encode()


def csrs() -> Iterator[tuple[str, bytes]]:
    keys = {
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p224": ec.generate_private_key(ec.SECP224R1()),
        "rsa1024": rsa.generate_private_key(65537, 1024),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    for name, key in keys.items():
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        if name == "p256":
            names = [x509.UniformResourceIdentifier(IDS[0]), x509.DNSName("istiod.istio-system.svc")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        request = builder.sign(key, None if name == "ed25519" else hashes.SHA256())
        yield name, request.public_bytes(DER)
    yield "pem", request.public_bytes(serialization.Encoding.PEM)


def certificates() -> Iterator[tuple[str, bytes]]:
    world = World.make(now=NOW)
    yield "root", world.root.public_bytes(DER)
    chosen = {
        "two SPIFFE IDs",
        "an extension twice",
        "an ID outside the name constraints",
        "a right SVID",
        "a DNS name beside it",
    }
    for one in presentations(world):
        if one.what in chosen:
            yield one.what.replace(" ", "-"), one.chain[0].public_bytes(DER)
        if one.rule == "CA-PATHLEN":
            yield "chain", b"".join(cert.public_bytes(serialization.Encoding.PEM) for cert in (*one.chain, world.root))
    draft = forging.leaf(IDS[0], world.root, world.root_key, now=NOW, ends=(24, b"20510101000000.5Z"))
    yield "fraction", draft.sign_der(world.root_key)


def bundles() -> Iterator[tuple[str, bytes]]:
    root = World.make(now=NOW).root
    right = {"spiffe_sequence": 1, "spiffe_refresh_hint": 300, "keys": [conduct.entry(root)]}
    yield "right", json.dumps(right).encode()
    yield "map", json.dumps({"trust_domains": {"example.org": right}}).encode()
    yield "many", json.dumps({"keys": [{**conduct.entry(root, root), "kid": 1}, {"use": []}, 7]}).encode()
    yield "twice", b'{"keys":[],"keys":[]}'
    yield "deep", b'{"keys":' + b"[" * 5000
    yield "big", b'{"keys":[],"spiffe_sequence":' + b"9" * 5000 + b"}"


@click.command()
def main() -> None:
    """Write what is missing."""
    for target, made in (("spiffe_id", spiffe_ids()), ("csr", csrs()), ("x509", certificates()), ("bundle", bundles())):
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made:
            if not (folder / name).exists():
                (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
