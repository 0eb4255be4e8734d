"""How many leaves Citadel issues for a CPU second, and what happens when ten thousand agents ask at once.

Server and agents are processes of their own; what is counted is the server's CPU time, which neighbours change little.
Figures and their meaning: docs/performance.md. Run with ``make bench``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
HERE = Path(__file__).parent
AT_ONCE = 16
AGENTS, ROUNDS = 400, 25
STORM = 10_000
STORM_MIB = 150
"""What a storm may add to the server's memory: 15 KiB for each agent."""
WANTED = {"ECDSA-P256": 2500, "RSA-2048": 1500}
"""Leaves for a CPU second, as on a quiet machine."""
QUIET = 20_000
"""The yardstick (certificates that the library makes for a CPU second) on a quiet core of the machine that the wishes are for:
neighbours on the same silicon slow a CPU second down by up to two thirds, and it as much as the service.
"""


@contextmanager
def process(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, str(HERE / name), *map(str, arguments)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def said(running: subprocess.Popen[str]) -> Json:
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("\n")
    running.stdin.flush()
    found: Json = json.loads(running.stdout.readline())
    return found


def measure(
    algorithm: str, agents: int, rounds: int, at_once: int, channels: int, review: float = 0.0
) -> tuple[Json, Json, Json]:
    """Give what the server said before and after, and what the agents said."""
    with process("certificate_server.py", algorithm, review) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with process("fake_agents.py", port, agents, rounds, at_once, channels) as asking:
            assert asking.stdout is not None
            assert asking.stdout.readline() == "ready\n"
            before = said(server)
            done = said(asking)
            return before, said(server), done


@pytest.mark.parametrize("algorithm", WANTED)
@pytest.mark.timeout(300)
def test_leaves_for_a_cpu_second(algorithm: str) -> None:
    before, after, done = measure(algorithm, AGENTS, ROUNDS, AT_ONCE, AT_ONCE)

    assert done["refused"] == {}
    assert done["answered"] == done["distinct"] == AGENTS * ROUNDS
    rate = done["answered"] / (after["cpu"] - before["cpuAfter"])
    yardstick = (before["yardstick"] + after["yardstick"]) / 2
    quiet = rate * QUIET / yardstick
    print(  # noqa: T201
        f"\n{algorithm} root, P-256 leaves: {rate:.0f} for a CPU second as it is, {quiet:.0f} as on a quiet machine "
        f"(yardstick {yardstick:.0f} of {QUIET}); {done['answered'] / done['seconds']:.0f} a second, "
        f"{after['reviews'] - before['reviews']} TokenReviews for {done['answered']} leaves"
    )
    assert quiet >= WANTED[algorithm]


@pytest.mark.timeout(300)
def test_ten_thousand_agents_at_once() -> None:
    before, after, done = measure("ECDSA-P256", STORM, 1, STORM, 200, 0.01)

    print(  # noqa: T201
        f"\n{STORM} agents at once: all served in {done['seconds']:.1f} s, the last after {done['longest']:.1f} s; server "
        f"{before['mib']:.0f} -> {after['mib']:.0f} MiB, {after['cpu'] - before['cpuAfter']:.1f} CPU s"
    )
    assert done["refused"] == {}
    assert done["answered"] == done["distinct"] == STORM, "an agent got none, or two got the same"
    assert after["issued"] - before["issued"] == STORM, "an agent was served twice"
    assert after["mib"] - before["mib"] < STORM_MIB
