"""Our path validation and ``openssl verify`` on generated chains: a hundred here, ten thousand in ``make openssl-agreement``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import openssl_verdicts

DOCUMENT = Path(__file__).parents[2] / "docs" / "identity.md"


def test_openssl_says_the_same_of_a_hundred_chains_or_the_difference_is_explained() -> None:
    tally = openssl_verdicts.compare(range(100))
    assert not tally.unexplained
    assert tally.accepted > 20
    assert tally.refused > 20


def test_every_explanation_is_written_down() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [\d,]+ \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(rows) == openssl_verdicts.EXPLAINED
