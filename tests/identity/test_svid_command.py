"""``pytest-mesh svid``: what it says, in which form, with which exit code, and what it never does to a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_mesh.cli import main
from pytest_mesh.identity import conduct, forging
from pytest_mesh.identity.forging import uri_names, usage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = ("--at", "2026-03-01T12:00:00Z")
TD = "example.org"
ID = f"spiffe://{TD}/ns/shop/sa/web"
ROOT_KEY, KEY, MIDDLE = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
ROOT = forging.signer("root", ROOT_KEY, now=NOW, uri=f"spiffe://{TD}").sign(ROOT_KEY)
MIDDLE_DRAFT = forging.signer("middle", MIDDLE, now=NOW, issuer=ROOT, uri=f"spiffe://{TD}")
LEAF = forging.leaf(ID, ROOT, KEY, now=NOW)


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def pem_of(der: bytes) -> bytes:
    import base64

    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def run(*arguments: object, given: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["svid", *map(str, arguments)], input=given)


@pytest.fixture
def files(tmp_path: Path):
    def check(chain: bytes, bundle: bytes = pem(ROOT), *more: str, domain: str = TD) -> Result:
        (tmp_path / "chain").write_bytes(chain)
        (tmp_path / "bundle").write_bytes(bundle)
        places = ("--chain", tmp_path / "chain", "--bundle", tmp_path / "bundle", "--trust-domain", domain)
        return run("check", *places, *AT, *more)

    return check


def test_a_right_chain_passes_with_its_path(files) -> None:
    result = files(pem(LEAF.sign(ROOT_KEY), ROOT))
    assert result.exit_code == 0, result.output
    assert (
        result.output == f"pass: {ID} at 2026-03-01T12:00:00Z, 0 MUST broken, 0 findings, path chain[0] -> bundle[0]\n"
    )


def test_everything_wrong_is_told_with_rule_level_field_what_was_seen_and_where_it_is_written(files) -> None:
    wrong = LEAF.having(usage("key_cert_sign"), uri_names(ID, critical=False)).without(x509.ExtendedKeyUsage)
    result = files(pem(wrong.sign(ROOT_KEY)), pem(ROOT), "-o", "json")
    assert result.exit_code == 1
    told = json.loads(result.output)
    assert told["verdict"] == "fail"
    assert [(one["rule"], one["level"], one["field"], one["seen"], one["spec"]) for one in told["findings"]] == [
        ("SVID-SAN-CRIT", "must", "chain[0].subjectAltName", "not critical", "X509-SVID.md section 3.1"),
        ("LEAF-KU-DS", "must", "chain[0].keyUsage", "keyCertSign", "X509-SVID.md section 4.3"),
        ("LEAF-NO-KCS", "must", "chain[0].keyUsage", "keyCertSign", "X509-SVID.md section 4.3"),
        ("LEAF-EKU-PRESENT", "should", "chain[0].extendedKeyUsage", "absent", "X509-SVID.md section 4.4"),
    ]
    assert all(one["url"].startswith("https://") for one in told["findings"])
    assert yaml.safe_load(files(pem(wrong.sign(ROOT_KEY)), pem(ROOT), "-o", "yaml").output) == told
    text = files(pem(wrong.sign(ROOT_KEY))).output
    assert "MUST   LEAF-NO-KCS          chain[0].keyUsage\n" in text


def test_a_should_alone_exits_0(files) -> None:
    result = files(pem(LEAF.without(x509.ExtendedKeyUsage).sign(ROOT_KEY)))
    assert result.exit_code == 0
    assert "SHOULD LEAF-EKU-PRESENT" in result.output


def test_der_is_read_too_and_one_of_both_from_stdin(tmp_path: Path) -> None:
    (tmp_path / "leaf.der").write_bytes(LEAF.sign(ROOT_KEY).public_bytes(serialization.Encoding.DER))
    common = ("check", "--chain", tmp_path / "leaf.der", "--trust-domain", TD, *AT)
    assert run(*common, "--bundle", "-", given=pem(ROOT)).exit_code == 0
    assert run(*common, "--bundle", "-", given=pem(LEAF.sign(ROOT_KEY))).exit_code == 1
    both = run("check", "--chain", "-", "--bundle", "-", "--trust-domain", TD)
    assert both.exit_code == 2
    assert "stdin" in both.output


def test_a_spiffe_bundle_is_read_and_judged_with_the_chain(files) -> None:
    document = {"spiffe_sequence": 1, "spiffe_refresh_hint": 1, "keys": [{**conduct.entry(ROOT), "kid": "x"}]}
    result = files(pem(LEAF.sign(ROOT_KEY)), json.dumps(document).encode())
    assert result.exit_code == 1
    assert "B-X509-NO-KID" in result.output
    mapped = json.dumps({"trust_domains": {TD: {"spiffe_sequence": 1, "keys": [conduct.entry(ROOT)]}}}).encode()
    assert files(pem(LEAF.sign(ROOT_KEY)), mapped).exit_code == 0
    assert files(pem(LEAF.sign(ROOT_KEY)), mapped, domain="other.example").exit_code == 2


@pytest.mark.parametrize(
    "chain",
    [b"", b"hello", b"\x30\x82", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", pem_of(b"\x30\x03\x02\x01\x01"), b"\0" * 2_000_000],
    ids=["empty", "text", "short DER", "no base64", "other DER", "too much"],
)  # fmt: skip
def test_what_cannot_be_read_exits_2(files, chain: bytes) -> None:
    result = files(chain)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")


def test_a_certificate_that_no_parser_takes_is_judged_by_its_bytes(files) -> None:
    fraction = forging.leaf(ID, ROOT, KEY, now=NOW, ends=(24, b"20510101000000.5Z")).sign_der(ROOT_KEY)
    result = files(pem_of(fraction), pem(ROOT), "-o", "json")
    assert result.exit_code == 1
    assert [(one["rule"], one["field"]) for one in json.loads(result.output)["findings"]] == [
        ("CERT-TIME-ENC", "chain[0].notAfter")
    ]


def test_an_index_is_that_in_the_file_when_one_before_it_cannot_be_parsed(files) -> None:
    odd = forging.signer("x", KEY, now=NOW, ends=(23, b"2701010000Z")).sign_der(KEY)
    signed = MIDDLE_DRAFT.sign(ROOT_KEY)
    leaf = forging.leaf(ID, signed, KEY, now=NOW).sign(MIDDLE)
    told = json.loads(files(pem(leaf) + pem_of(odd) + pem(signed), pem(ROOT), "-o", "json").output)
    assert told["path"] == ["chain[0]", "chain[2]", "bundle[0]"]
    assert [one["field"] for one in told["findings"]] == ["chain[1].notAfter"]


@pytest.mark.parametrize(
    ("option", "value"), [("--trust-domain", "Example.org"), ("--trust-domain", "a/b"), ("--at", "tomorrow")]
)
def test_a_wrong_argument_exits_2_and_names_the_option(tmp_path: Path, option: str, value: str) -> None:
    (tmp_path / "pem").write_bytes(pem(ROOT))
    arguments = {"--chain": tmp_path / "pem", "--bundle": tmp_path / "pem", "--trust-domain": TD, option: value}
    result = run("check", *(part for pair in arguments.items() for part in pair))
    assert result.exit_code == 2
    assert option in result.output


HOSTILE = "spiffe://example.org/\x1b[31m\x07\r\nroot\u202e\\x"


def test_no_text_of_a_certificate_reaches_the_terminal_as_it_is(files, tmp_path: Path) -> None:
    named = forging.leaf(ID, ROOT, KEY, now=NOW, subject=forging.name("\x1b]0;pwned\x07", common_name="\u202egro"))
    wrong = named.having(uri_names(HOSTILE, dns=["\x1b[2J"])).sign(ROOT_KEY)
    (tmp_path / "hostile").write_bytes(pem(wrong))
    outputs = [files(pem(wrong), pem(ROOT), "-o", form).output for form in ("text", "json", "yaml")]
    outputs += [run("show", tmp_path / "hostile", *AT, "-o", form).output for form in ("text", "json", "yaml")]
    for output in outputs:
        assert all(letter == "\n" or " " <= letter <= "~" for letter in output), ascii(output)
    assert r"\x1b[31m" in outputs[0]
    assert json.loads(outputs[4])["certificates"][0]["spiffeId"] == HOSTILE


def test_the_picture_tells_name_life_key_usages_and_issuer(tmp_path: Path, golden) -> None:
    fixed = ec.derive_private_key(7, ec.SECP256R1())
    root = forging.signer("root", fixed, now=NOW, uri=f"spiffe://{TD}").sign(fixed)
    leaf = forging.leaf(ID, root, fixed, now=NOW).having(uri_names(ID, dns=["web.shop.svc"])).sign(fixed)
    (tmp_path / "chain.pem").write_bytes(pem(leaf, root))
    output = run("show", tmp_path / "chain.pem", "--at", "2026-03-01T18:00:00+00:00").output
    lines = [
        line for line in output.splitlines() if "SHA-256" not in line
    ]  # it covers an ECDSA signature: never twice the same
    golden("svid_show.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("at", "said"),
    [(NOW - timedelta(hours=1), "not valid for another 0h58m00s"), (NOW, "0% used, 1d0h00m left"), (NOW + timedelta(days=9), "expired 8 days ago")],
)  # fmt: skip
def test_the_picture_tells_how_much_life_is_left(tmp_path: Path, at: datetime, said: str) -> None:
    (tmp_path / "leaf.pem").write_bytes(pem(LEAF.sign(ROOT_KEY)))
    assert said in run("show", tmp_path / "leaf.pem", "--at", at.isoformat()).output


def test_a_key_in_the_file_is_not_shown(tmp_path: Path) -> None:
    secret = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(secret + pem(LEAF.sign(ROOT_KEY)))
    output = run("show", tmp_path / "both.pem").output
    assert output.count("certificate 0") == 1
    assert "certificate 1" not in output
    assert not any(line in output for line in secret.decode().splitlines() if line)
