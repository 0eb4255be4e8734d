"""Chains to judge, drawn from a seed: right ones, and ones with up to three faults anywhere in them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from functools import cache

from chain_faults import FAULTS
from chain_scene import AT, ID, TD, Scene, keys, ski
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pytest_mesh.identity import forging
from pytest_mesh.identity.forging import extension


@dataclass(frozen=True)
class Case:
    seed: int
    faults: tuple[str, ...]
    chain: tuple[x509.Certificate, ...]
    bundle: tuple[x509.Certificate, ...]


def draw(seed: int) -> Case:
    """Give the case of a seed; keys differ from run to run, everything else does not."""
    rng = random.Random(seed)
    scene = _hierarchy(rng)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        name, fault = rng.choice(FAULTS)
        fault(scene)
        scene.names.append(name)
    return _signed(seed, scene)


def _hierarchy(rng: random.Random) -> Scene:
    strong, _ = keys()
    chosen = rng.sample(strong, 5)
    depth = rng.choice([0, 1, 1, 2, 2, 3])
    scene = Scene(rng)
    for level in range(depth + 1):
        named = f"spiffe://{TD}" if rng.random() < 0.5 else ""
        scene.drafts.append(forging.signer(f"level {level}", chosen[level], now=AT, uri=named))
        scene.signers.append(chosen[max(level - 1, 0)])
    scene.drafts.append(forging.leaf(ID, _stand_in(), chosen[depth + 1], now=AT))
    scene.signers.append(chosen[depth])
    return scene


@cache
def _stand_in() -> x509.Certificate:
    """What a leaf's draft is made from before its issuer is signed."""
    key = keys()[0][0]
    return forging.signer("stand-in", key, now=AT).sign(key)


def _signed(seed: int, scene: Scene) -> Case:
    made: list[x509.Certificate] = []
    for index, drawn in enumerate(scene.drafts):
        draft = drawn
        if index and index not in scene.frozen:
            above = made[index - 1]
            draft = replace(draft, issuer=above.subject)
            identifier = ski(above)
            if identifier and index not in scene.keyless:
                draft = draft.having(
                    extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier))
                )
        made.append(draft.sign(scene.signers[index]))
    for change in scene.after:
        change(made)
    chain, bundle = made[:0:-1], made[:1]
    for arrange in scene.arrange:
        arrange(chain, bundle)
    return Case(seed, tuple(scene.names), tuple(chain), tuple(bundle))


def pem(certificates: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
