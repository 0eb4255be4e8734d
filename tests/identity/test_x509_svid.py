"""The X509-SVID judge: everything at once, each rule once, and no exception whatever the certificate."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_mesh.identity import forging
from pytest_mesh.identity.forging import constraints, uri_names, usage
from pytest_mesh.identity.svid import admit, check_svid, domain_of
from pytest_mesh.identity.x509_svid import check_leaf, spiffe_id, uri_sans

AT = datetime(2030, 1, 1, tzinfo=UTC)
TD = "cluster.local"
ID = f"spiffe://{TD}/ns/shop/sa/web"
KEY, ROOT_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ROOT = forging.signer("root", ROOT_KEY, now=AT, uri=f"spiffe://{TD}").sign(ROOT_KEY)
LEAF = forging.leaf(ID, ROOT, KEY, now=AT)


def rules(findings: list) -> list[str]:
    return [finding.rule for finding in findings]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = (
        LEAF.having(constraints(ca=True), usage("key_cert_sign", critical=False), uri_names("spiffe://CLUSTER.local"))
        .without(x509.ExtendedKeyUsage, x509.AuthorityKeyIdentifier)
        .sign(ROOT_KEY)
    )
    assert set(rules(check_leaf(wrong))) == {
        "LEAF-CA-FALSE", "LEAF-KU-CRIT", "LEAF-KU-DS", "LEAF-NO-KCS", "ID-TD-LOWER", "LEAF-EKU-PRESENT", "CERT-AKI",
    }  # fmt: skip


def test_a_rule_broken_twice_is_one_finding_that_tells_both() -> None:
    wrong = LEAF.having(uri_names("https://a.example", "https://b.example")).sign(ROOT_KEY)
    found = [one for one in check_leaf(wrong) if one.rule == "SVID-SCHEME-V"]
    assert len(found) == 1
    assert "a.example" in found[0].message
    assert "b.example" in found[0].message


def test_a_finding_says_where_it_is_and_what_stood_there() -> None:
    judged = check_svid([LEAF.having(usage("key_encipherment")).sign(ROOT_KEY)], [ROOT], TD, at=AT)
    assert [(one.field, one.seen) for one in judged.findings] == [("chain[0].keyUsage", "keyEncipherment")]


def test_an_svid_of_the_right_domain_is_let_in_and_the_path_is_told() -> None:
    judged = check_svid([LEAF.sign(ROOT_KEY), ROOT], [ROOT], TD, at=AT)
    assert judged.findings == ()
    assert judged.holds
    assert [step.place for step in judged.path] == ["chain[0]", "bundle[0]"]
    assert admit([LEAF.sign(ROOT_KEY)], {TD: [ROOT]}, at=AT)


def test_a_validator_holds_an_svid_against_its_own_domains_bundle_alone() -> None:
    foreign = LEAF.having(uri_names("spiffe://other.example/a")).sign(ROOT_KEY)
    assert domain_of(foreign) == "other.example"
    assert not admit([foreign], {TD: [ROOT]}, at=AT)
    assert not admit([foreign], {TD: [ROOT], "other.example": []}, at=AT)
    assert not admit([], {TD: [ROOT]}, at=AT)


@pytest.mark.parametrize(
    "extension",
    [("2.5.29.19", True, b"\x30\x05"), ("2.5.29.17", True, b"\x30\x02\xa3\x00"), ("2.5.29.17", True, b"\x30\x03\x86\x01\xff")],
    ids=["short", "x400Address", "a URI that is no UTF-8"],
)  # fmt: skip
def test_an_extension_that_cannot_be_read_is_a_finding(extension: forging.Extension) -> None:
    wrong = LEAF.having(extension).sign(ROOT_KEY)
    judged = check_svid([wrong], [ROOT], TD, at=AT)
    assert rules(judged.findings) == ["PATH-5280"]


def test_ten_thousand_names_make_a_short_report() -> None:
    uris = [f"https://{index}.example/{'a' * 400}" for index in range(10_000)]
    found = check_leaf(LEAF.having(uri_names(*uris)).sign(ROOT_KEY))
    assert rules(found) == ["SVID-URI-ONE", "SVID-SCHEME-V"]
    assert "found 10000" in found[0].message
    assert "and 9992 more" in found[0].message
    assert all(len(one.message) + len(one.seen) < 10_000 for one in found)


def test_the_one_uri_is_given_and_two_are_an_error() -> None:
    assert spiffe_id(LEAF.sign(ROOT_KEY)) == ID
    two = LEAF.having(uri_names(ID, ID)).sign(ROOT_KEY)
    assert uri_sans(two) == [ID, ID]
    with pytest.raises(ValueError, match="SVID-URI-ONE"):
        spiffe_id(two)


def test_a_name_longer_than_its_bound_is_read_without_a_warning() -> None:
    with pytest.warns(UserWarning, match="length"):
        country = x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DEUTSCHLAND", _validate=False)
    draft = forging.leaf(ID, ROOT, KEY, now=AT, subject=x509.Name([country]))
    assert check_svid([draft.sign(ROOT_KEY)], [ROOT], TD, at=AT + timedelta(hours=1)).findings == ()
