"""The faults of generated chains, each put at a place that is drawn."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace

from chain_scene import AT, HOUR, ID, TD, UNKNOWN, Scene, keys, ski
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pytest_mesh.identity import forging
from pytest_mesh.identity.forging import Key, constraints, extension, moment, uri_names, usage

OTHERS_CRITICAL = {
    "certificatePolicies": extension(
        x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)]), critical=True
    ),
    "policyConstraints": extension(x509.PolicyConstraints(0, None), critical=True),
    "cRLDistributionPoints": extension(
        x509.CRLDistributionPoints(
            [x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.example/")], None, None, None)]
        ),
        critical=True,
    ),
}


def expired(scene: Scene) -> None:
    scene.change(scene.any(), ends=moment(AT - HOUR))


def not_yet(scene: Scene) -> None:
    scene.change(scene.any(), begins=moment(AT + HOUR))


def ends_in_this_second(scene: Scene) -> None:
    scene.change(scene.any(), ends=moment(AT))


def begins_in_this_second(scene: Scene) -> None:
    scene.change(scene.any(), begins=moment(AT))


def no_cert_sign(scene: Scene) -> None:
    scene.having(scene.issuer(), usage("digital_signature"))


def no_key_usage(scene: Scene) -> None:
    scene.without(scene.any(), x509.KeyUsage)


def no_ca_bit(scene: Scene) -> None:
    scene.having(scene.issuer(), constraints(ca=False))


def no_basic_constraints(scene: Scene) -> None:
    scene.without(scene.issuer(), x509.BasicConstraints)


def path_length(scene: Scene) -> None:
    scene.having(scene.issuer(), constraints(ca=True, path_length=scene.rng.choice([0, 0, 1, 2])))


def self_issued(scene: Scene) -> None:
    """An intermediate with its issuer's name: pathLen does not count it."""
    if len(scene.drafts) > 2:
        scene.change(1, subject=scene.drafts[0].subject)
        scene.having(0, constraints(ca=True, path_length=scene.rng.choice([0, 1])))


def leaf_is_ca(scene: Scene) -> None:
    scene.having(-1, constraints(ca=True))


def two_uris(scene: Scene) -> None:
    scene.having(-1, uri_names(ID, ID + "2"))


def no_names(scene: Scene) -> None:
    scene.without(-1, x509.SubjectAlternativeName)


def named_leaf(scene: Scene) -> None:
    scene.change(-1, subject=forging.name("web", common_name=scene.rng.choice(["web.example.com", "web"])))


SUBTREES: tuple[tuple[x509.GeneralName, ...], ...] = (
    (x509.UniformResourceIdentifier(TD),),
    (x509.UniformResourceIdentifier(".org"),),
    (x509.UniformResourceIdentifier("EXAMPLE.org"),),
    (x509.UniformResourceIdentifier(".example.org"),),
    (x509.UniformResourceIdentifier("elsewhere.example"), x509.UniformResourceIdentifier(TD)),
    (x509.UniformResourceIdentifier("elsewhere.example"),),
    (x509.DNSName("example.com"),),
    (x509.DNSName("web.example.com"),),
    (x509.DNSName("elsewhere.example"),),
    (x509.RFC822Name("example.com"),),
    (x509.RFC822Name(".example.com"),),
    (x509.RFC822Name("me@example.com"),),
    (x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),),
    (x509.IPAddress(ipaddress.ip_network("192.168.0.0/16")),),
    (x509.DirectoryName(forging.name("web")),),
    (x509.DirectoryName(forging.name("WEB")),),
    (x509.DirectoryName(forging.name("level 1")),),
    (x509.DirectoryName(forging.name("elsewhere")),),
)
MORE_NAMES = (
    x509.DNSName("web.example.com"),
    x509.DNSName("other.example"),
    x509.RFC822Name("me@example.com"),
    x509.RFC822Name("me@sub.example.com"),
    x509.IPAddress(ipaddress.ip_address("10.1.2.3")),
)


def name_constraints(scene: Scene) -> None:
    subtrees = scene.rng.choice(SUBTREES)
    permitted = scene.rng.random() < 0.6
    value = x509.NameConstraints(subtrees if permitted else None, None if permitted else subtrees)
    scene.having(scene.issuer(), extension(value, critical=scene.rng.random() < 0.8))
    if scene.rng.random() < 0.5:
        listed = [x509.UniformResourceIdentifier(ID), *scene.rng.sample(MORE_NAMES, scene.rng.choice([1, 2]))]
        scene.having(-1, extension(x509.SubjectAlternativeName(listed), critical=True))
    if scene.rng.random() < 0.3:
        scene.change(-1, subject=forging.name(scene.rng.choice(["web", "elsewhere"])))


def uri_without_host(scene: Scene) -> None:
    name_constraints(scene)
    scene.having(-1, uri_names("spiffe:web"))


def other_key_identifier(scene: Scene) -> None:
    index = scene.rng.randrange(1, len(scene.drafts))
    scene.having(index, extension(x509.AuthorityKeyIdentifier(b"another", None, None)))
    scene.frozen.add(index)
    scene.change(index, issuer=scene.drafts[index - 1].subject)


def issuer_and_serial(scene: Scene) -> None:
    """An AKI that names its issuer by name and serial, and wrongly."""
    index = scene.rng.randrange(1, len(scene.drafts))
    above = scene.drafts[index - 1]
    value = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(above.issuer)], 4711)
    scene.having(index, extension(value))
    scene.frozen.add(index)
    scene.change(index, issuer=above.subject)


def no_authority_key(scene: Scene) -> None:
    index = scene.rng.randrange(1, len(scene.drafts))
    scene.without(index, x509.AuthorityKeyIdentifier)
    scene.keyless.add(index)


def no_subject_key(scene: Scene) -> None:
    scene.without(scene.issuer(), x509.SubjectKeyIdentifier)


def unknown_critical(scene: Scene) -> None:
    scene.having(scene.any(), (UNKNOWN, True, b"\x05\x00"))


def unknown(scene: Scene) -> None:
    scene.having(scene.any(), (UNKNOWN, False, b"\x05\x00"))


def other_critical(scene: Scene) -> None:
    name = scene.rng.choice(list(OTHERS_CRITICAL))
    scene.having(scene.any(), OTHERS_CRITICAL[name])
    scene.names.append(name)


def critical_key_identifier(scene: Scene) -> None:
    index = scene.issuer()
    scene.drafts[index] = scene.drafts[index].having(
        *((one[0], True, one[2]) for one in scene.drafts[index].extensions if one[0] == "2.5.29.14")
    )


def usages_of_cas(scene: Scene) -> None:
    scene.having(scene.any(), extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING])))


def extension_twice(scene: Scene) -> None:
    index = scene.any()
    listed = scene.drafts[index].extensions
    scene.change(index, extensions=(*listed, listed[0]))


def unreadable_extension(scene: Scene) -> None:
    oid = scene.rng.choice(["2.5.29.19", "2.5.29.15", "2.5.29.30", "2.5.29.17"])
    scene.having(scene.any(), (oid, True, b"\x30\x05"))


def broken_signature(scene: Scene) -> None:
    index = scene.any()

    def change(made: list[x509.Certificate]) -> None:
        made[index] = forging.tampered(made[index])

    scene.after.append(change)


def another_key(scene: Scene) -> None:
    scene.signers[scene.rng.randrange(1, len(scene.drafts))] = keys()[0][0]


def another_algorithm_inside(scene: Scene) -> None:
    scene.change(scene.any(), announced_digest="sha384")


def old_digest(scene: Scene) -> None:
    index = scene.any()
    md5 = isinstance(scene.signers[index], rsa.RSAPrivateKey) and scene.rng.random() < 0.5
    scene.change(index, digest="md5" if md5 else "sha1")


def weak_issuer(scene: Scene) -> None:
    index = scene.issuer()
    _rekey(scene, index, keys()[1])


def weak_leaf(scene: Scene) -> None:
    scene.change(-1, key=keys()[1])


def rsa_everywhere(scene: Scene) -> None:
    for index in range(len(scene.drafts) - 1):
        _rekey(scene, index, keys()[0][-1])


def _rekey(scene: Scene, index: int, key: Key) -> None:
    scene.change(index, key=key)
    scene.having(index, extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key())))
    scene.signers[index + 1] = key
    if index == 0:
        scene.signers[0] = key


def version_1(scene: Scene) -> None:
    index = scene.issuer()
    scene.change(index, version=None, extensions=() if scene.rng.random() < 0.7 else scene.drafts[index].extensions)


def odd_serial(scene: Scene) -> None:
    scene.change(scene.any(), serial=scene.rng.choice([b"\0", b"\xff", b"\x7f" * 21]))


def other_case(scene: Scene) -> None:
    """The issuer's name in other letters and with other blanks than its subject's."""
    index = scene.rng.randrange(1, len(scene.drafts))
    scene.frozen.add(index)
    written = scene.rng.choice([f"LEVEL {index - 1}", f"level   {index - 1} ", f"level{index - 1}"])
    scene.change(index, issuer=forging.name(written))
    scene.without(index, x509.AuthorityKeyIdentifier)


def all_one_name(scene: Scene) -> None:
    for index in range(len(scene.drafts) - 1):
        scene.change(index, subject=forging.name("one"))


def shuffled(scene: Scene) -> None:
    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        rest = chain[1:]
        scene.rng.shuffle(rest)
        chain[1:] = rest

    scene.arrange.append(arrange)


def root_presented(scene: Scene) -> None:
    scene.arrange.append(lambda chain, bundle: chain.extend(bundle))


def stranger_presented(scene: Scene) -> None:
    key = keys()[0][7]
    stranger = forging.signer(scene.rng.choice(["level 0", "nobody"]), key, now=AT).sign(key)
    place = scene.rng.choice([1, 9])
    scene.arrange.append(lambda chain, _: chain.insert(place, stranger))


def twin_intermediate(scene: Scene) -> None:
    """Two issuers of one name, without key identifiers; one of them signed nothing."""
    if len(scene.drafts) < 3:
        return
    index = len(scene.drafts) - 2
    scene.without(index, x509.SubjectKeyIdentifier)
    scene.without(-1, x509.AuthorityKeyIdentifier)
    key = keys()[0][6]
    draft = scene.drafts[index]
    by = scene.signers[index]
    front = scene.rng.random() < 0.5

    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        if len(chain + bundle) < 3:
            return
        above = (chain + bundle)[2]
        twin = replace(draft, key=key, issuer=above.subject, serial=b"\x55").without(x509.AuthorityKeyIdentifier)
        chain.insert(1 if front else len(chain), twin.sign(by))

    scene.arrange.append(arrange)


def missing_intermediate(scene: Scene) -> None:
    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        if len(chain) > 1:
            del chain[scene.rng.randrange(1, len(chain))]

    scene.arrange.append(arrange)


def other_root(scene: Scene) -> None:
    """The bundle holds another root, of the same name or not, alone or beside the right one."""
    key = keys()[0][5]
    stranger = forging.signer(scene.rng.choice(["level 0", "nobody"]), key, now=AT)
    if scene.rng.random() < 0.5:
        stranger = stranger.without(x509.SubjectKeyIdentifier)
    certificate = stranger.sign(key)
    alone = scene.rng.random() < 0.4

    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        bundle[:] = [certificate] if alone else [certificate, *bundle]

    scene.arrange.append(arrange)


def intermediate_as_anchor(scene: Scene) -> None:
    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        if len(chain) > 1:
            bundle[:] = [scene.rng.choice(chain[1:])]

    scene.arrange.append(arrange)


def leaf_in_bundle(scene: Scene) -> None:
    keep = scene.rng.random() < 0.5
    scene.arrange.append(lambda chain, bundle: bundle.append(chain[0]) if keep else bundle.__setitem__(0, chain[0]))


def self_signed_leaf(scene: Scene) -> None:
    draft = scene.drafts[-1]
    trusted = scene.rng.random() < 0.5

    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        subject = forging.name("self")
        own = replace(draft, subject=subject, issuer=subject).without(x509.AuthorityKeyIdentifier).sign(draft.key)
        chain[0] = own
        if trusted:
            bundle.append(own)

    scene.arrange.append(arrange)


def cross_signed(scene: Scene) -> None:
    """The root's key has a second certificate, from another root; the bundle holds the other, or both."""
    key = keys()[0][4]
    other = forging.signer("other root", key, now=AT).sign(key)
    root = scene.drafts[0]
    fresh = scene.rng.random() < 0.7
    both = scene.rng.random() < 0.4

    def arrange(chain: list[x509.Certificate], bundle: list[x509.Certificate]) -> None:
        cross = replace(root, issuer=other.subject, serial=b"\x66").having(
            extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski(other)))
        )
        if not fresh:
            cross = replace(cross, ends=moment(AT - HOUR))
        chain.append(cross.sign(key))
        bundle[:] = [*bundle, other] if both else [other]

    scene.arrange.append(arrange)


FAULTS: list[tuple[str, Callable[[Scene], None]]] = [
    (one.__name__, one)
    for one in (
        expired, not_yet, ends_in_this_second, begins_in_this_second, no_cert_sign, no_key_usage, no_ca_bit,
        no_basic_constraints, path_length, path_length, self_issued, leaf_is_ca, two_uris, no_names, named_leaf,
        name_constraints, name_constraints, name_constraints, uri_without_host, other_key_identifier, issuer_and_serial,
        no_authority_key, no_subject_key, unknown_critical, unknown, other_critical, critical_key_identifier, usages_of_cas,
        extension_twice, unreadable_extension, broken_signature, another_key, another_algorithm_inside, old_digest,
        weak_issuer, weak_leaf, rsa_everywhere, version_1, odd_serial, other_case, all_one_name, shuffled, root_presented,
        stranger_presented, twin_intermediate, missing_intermediate, other_root, intermediate_as_anchor, leaf_in_bundle,
        self_signed_leaf, cross_signed,
    )
]  # fmt: skip
