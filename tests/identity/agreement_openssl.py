"""Ten thousand generated chains before our path validation and ``openssl verify``: ``make openssl-agreement``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import openssl_verdicts

CHAINS = int(os.environ.get("MESH_CHAINS", "10000"))
BATCH = 250


@pytest.mark.timeout(600)
def test_openssl_says_the_same_or_the_difference_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    batches = [range(first, min(first + BATCH, CHAINS)) for first in range(0, CHAINS, BATCH)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        tallies = list(pool.map(openssl_verdicts.compare, batches))
    accepted, refused = sum(one.accepted for one in tallies), sum(one.refused for one in tallies)
    differences = [one for tally in tallies for one in tally.differences]
    reasons = Counter(one.why for one in differences)
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    lines = [
        f"{version}, {CHAINS} chains, {time.monotonic() - started:.0f} s",
        f"both accept {accepted}, both refuse {refused}, differ {len(differences)}",
        *(f"  {count:5}  {name or 'UNEXPLAINED'}" for name, count in reasons.most_common()),
    ]
    with capsys.disabled():
        click.echo("\n" + "\n".join(lines))
    unexplained = [one for one in differences if not one.why]
    assert not unexplained, "\n".join(map(str, unexplained[:20]))
    assert accepted + refused + len(differences) == CHAINS
    assert set(reasons) == set(openssl_verdicts.EXPLAINED), "an explanation that explains nothing"
