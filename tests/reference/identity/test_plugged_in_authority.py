"""Secret ``cacerts``: both layouts are taken whole, and whatever is wrong is told with file and reason."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca import plugged_in
from mesh_reference.ca.authority import SignerError

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def root(make_ca):
    return make_ca("root")


@pytest.fixture(scope="module")
def middle(make_ca, root):
    return make_ca("middle", root)


@pytest.fixture(scope="module")
def signing(make_ca, middle):
    return make_ca("signing", middle)


@pytest.fixture(scope="module")
def istio(root, middle, signing) -> dict[str, bytes]:
    return {
        "ca-cert.pem": signing.pem,
        "ca-key.pem": signing.key_pem,
        "cert-chain.pem": signing.pem + middle.pem,
        "root-cert.pem": root.pem,
    }


@pytest.fixture(scope="module")
def kubernetes(root, middle, signing) -> dict[str, bytes]:
    return {"tls.crt": signing.pem + middle.pem, "tls.key": signing.key_pem, "ca.crt": root.pem}


@pytest.fixture(scope="module")
def read(now):
    def read(files):
        return plugged_in.read(files, trust_domain="cluster.local", now=now)

    return read


def certificates(chain: list[str]) -> list[x509.Certificate]:
    return [one for pem in chain for one in x509.load_pem_x509_certificates(pem.encode())]


@pytest.mark.parametrize("layout", ["istio", "kubernetes"])
def test_both_layouts_give_a_chain_that_leads_from_the_leaf_to_the_root(
    request, read, reviews, make_csr, now, root, middle, signing, layout
):
    authority = read(request.getfixturevalue(layout))
    chain = authority.sign(make_csr(), reviews, ttl=HOUR, now=now)
    leaf, *above = certificates(chain)
    assert above == [signing.certificate, middle.certificate, root.certificate]
    for child, issuer in zip([leaf, *above], above, strict=False):
        child.verify_directly_issued_by(issuer)
    assert len(chain) == 4  # each on its own, the roots last and in one (IST-CHAIN)
    assert authority.anchor == root.certificate


def test_a_root_may_sign_by_itself_and_stand_in_the_chain_too(read, reviews, make_csr, now, root):
    files = {"ca-cert.pem": root.pem, "ca-key.pem": root.key_pem, "cert-chain.pem": root.pem, "root-cert.pem": root.pem}
    chain = read(files).sign(make_csr(), reviews, ttl=HOUR, now=now)
    assert certificates(chain)[1:] == [root.certificate]


def test_several_roots_are_one_element_and_the_bundle(read, istio, reviews, make_csr, now, root, make_ca):
    other = make_ca("other")
    authority = read({**istio, "root-cert.pem": other.pem + root.pem})
    chain = authority.sign(make_csr(), reviews, ttl=HOUR, now=now)
    assert chain[-1] == authority.root_pem
    assert certificates([authority.root_pem]) == [other.certificate, root.certificate]
    assert authority.anchor == root.certificate


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA-2048"],
)
def test_every_kind_of_signing_key_signs(read, make_ca, root, reviews, make_csr, now, key):
    signing = make_ca("signing", root, key=key)
    files = {"tls.crt": signing.pem, "tls.key": signing.key_pem, "ca.crt": root.pem}
    leaf = certificates(read(files).sign(make_csr(), reviews, ttl=HOUR, now=now))[0]
    leaf.verify_directly_issued_by(signing.certificate)


@pytest.mark.parametrize("absent", ["ca-cert.pem", "cert-chain.pem", "root-cert.pem", "ca-key.pem"])
def test_an_incomplete_secret_names_what_is_missing(read, istio, absent):
    with pytest.raises(SignerError, match=f"^{absent}: missing or empty"):
        read({name: text for name, text in istio.items() if name != absent})
    with pytest.raises(SignerError, match=f"^{absent}: missing or empty"):
        read({**istio, absent: b" \n"})


@pytest.mark.parametrize("absent", ["tls.crt", "tls.key", "ca.crt"])
def test_the_other_layout_names_its_own_files(read, kubernetes, absent):
    with pytest.raises(SignerError, match=f"^{absent}: missing or empty"):
        read({name: text for name, text in kubernetes.items() if name != absent})


def test_an_empty_secret_says_what_is_needed(read):
    with pytest.raises(SignerError, match=r"ca-cert\.pem, ca-key\.pem.*are needed \(there: nothing\)"):
        read({})


def test_two_keys_are_one_too_many(read, istio, kubernetes):
    with pytest.raises(SignerError, match=r"ca-key\.pem and tls\.key"):
        read({**istio, **kubernetes})


@pytest.mark.parametrize("name", ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"])
def test_a_file_that_is_no_pem_is_named(read, istio, name):
    with pytest.raises(SignerError, match=f"^{name}: |^{name} "):
        read({**istio, name: b"nonsense"})


def test_a_key_of_another_certificate_is_named(read, istio, middle):
    with pytest.raises(SignerError, match=r"^ca-key\.pem: is not the key of ca-cert\.pem"):
        read({**istio, "ca-key.pem": middle.key_pem})


def test_a_chain_with_a_gap_or_upside_down_is_named(read, istio, make_ca, middle, signing):
    with pytest.raises(SignerError, match=r"^root-cert\.pem: none of its 1 certificates issued"):
        read({**istio, "cert-chain.pem": signing.pem})
    stranger = make_ca("stranger")
    with pytest.raises(SignerError, match=r"^cert-chain\.pem: O=stranger .* did not issue O=signing"):
        read({**istio, "cert-chain.pem": signing.pem + stranger.pem})
    lower = make_ca("lower", signing)
    with pytest.raises(SignerError, match=r"^cert-chain\.pem: "):
        read(
            {**istio, "ca-cert.pem": lower.pem, "ca-key.pem": lower.key_pem, "cert-chain.pem": middle.pem + signing.pem}
        )


def test_a_foreign_root_is_named(read, istio, make_ca):
    with pytest.raises(SignerError, match=r"^root-cert\.pem: none of its 1 certificates issued O=middle"):
        read({**istio, "root-cert.pem": make_ca("foreign").pem})


def test_whoever_has_expired_is_named_with_the_moment(read, istio, make_ca, root, middle):
    old = make_ca("signing", middle, begins=timedelta(days=-9), lives=timedelta(seconds=-1))
    with pytest.raises(SignerError, match=r"^ca-cert\.pem: O=signing .*expired at 2026-03-01T11:59:59Z"):
        read({**istio, "ca-cert.pem": old.pem, "ca-key.pem": old.key_pem, "cert-chain.pem": old.pem + middle.pem})
    dead = make_ca("middle", root, key=middle.key, begins=timedelta(days=-9), lives=timedelta(0))
    with pytest.raises(SignerError, match=r"^cert-chain\.pem: O=middle .*expired"):
        read({**istio, "cert-chain.pem": istio["ca-cert.pem"] + dead.pem})
    late = make_ca("root", key=root.key, begins=HOUR)
    with pytest.raises(SignerError, match=r"^root-cert\.pem: O=root .*not valid before 2026-03-01T13:00:00Z"):
        read({**istio, "root-cert.pem": late.pem})


def test_whoever_may_not_sign_is_named(read, istio, make_ca, root, middle):
    for changes, reason in (({"ca": False}, "CA:TRUE"), ({"signs": False}, "keyCertSign")):
        signing = make_ca("signing", middle, **changes)
        chain = signing.pem + middle.pem
        with pytest.raises(SignerError, match=rf"^ca-cert\.pem: .*{reason}"):
            read({**istio, "ca-cert.pem": signing.pem, "ca-key.pem": signing.key_pem, "cert-chain.pem": chain})
    short = make_ca("middle", root, key=middle.key, path_length=0)
    with pytest.raises(SignerError, match=r"^cert-chain\.pem: .*allows 0 authorities below it, there are 1"):
        read({**istio, "cert-chain.pem": istio["ca-cert.pem"] + short.pem})


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256K1())], ids=["RSA-1024", "k1"]
)
def test_a_weak_signing_key_is_named(read, make_ca, root, key):
    signing = make_ca("signing", root, key=key)
    with pytest.raises(SignerError, match=r"^tls\.key: "):
        read({"tls.crt": signing.pem, "tls.key": signing.key_pem, "ca.crt": root.pem})


def test_a_revocation_list_is_refused_because_nobody_would_heed_it(read, istio):
    with pytest.raises(SignerError, match=r"^ca-crl\.pem: "):
        read({**istio, "ca-crl.pem": b"-----BEGIN X509 CRL-----"})


@given(data=st.data())
def test_no_damage_of_one_file_passes_unnoticed_or_breaks_the_reader(read, istio, data):
    """Either the damaged files give the same authority, or the refusal names a file."""
    name = data.draw(st.sampled_from(sorted(istio)))
    text = bytearray(istio[name])
    start = data.draw(st.integers(0, len(text) - 1))
    text[start : start + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=40))
    try:
        found = read({**istio, name: bytes(text)})
    except SignerError as error:
        refusal = str(error)
        assert any(file in refusal for file in istio)
    else:
        # Who is said to have issued a root is under no signature that could be checked; all else of it is.
        assert [(one.subject, one.public_key()) for one in found.roots] == [
            (one.subject, one.public_key()) for one in read(istio).roots
        ]
        assert found.certificate == read(istio).certificate
