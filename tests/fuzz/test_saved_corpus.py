"""The fuzzer's saved inputs, and small changes of each: no parser answers a stranger with an exception of its own making."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import targets  # noqa: E402 - found by the line above

CORPUS = HERE / "corpus"
CHANGES = 8
MAX_CORPUS_BYTES = 300_000


def inputs(target: str) -> list[Path]:
    return sorted((CORPUS / target).iterdir())


def changed(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                out[at:at] = rng.randbytes(rng.choice([1, 4]))
            case 2:
                del out[at : at + rng.choice([1, 8, 64])]
            case _:
                out[at:at] = out[max(at - rng.randrange(1, 64), 0) : at]
    return bytes(out)


@pytest.mark.parametrize("target", targets.TARGETS)
def test_the_saved_inputs_and_changes_of_them_keep_the_law(target: str) -> None:
    run, rng = targets.TARGETS[target], random.Random(target)
    assert inputs(target)
    for path in inputs(target):
        data = path.read_bytes()
        for candidate in (data, *(changed(data, rng) for _ in range(CHANGES))):
            try:
                run(candidate)
            except Exception as error:
                raise AssertionError(f"{path.name}: {candidate!r}") from error


def test_the_corpus_has_each_target_and_stays_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(targets.TARGETS)
    assert sum(path.stat().st_size for name in targets.TARGETS for path in inputs(name)) < MAX_CORPUS_BYTES
