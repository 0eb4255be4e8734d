"""Traffic beside a test ends with a word when it ends early, and a terminal that is gone ends none of it."""

from __future__ import annotations

import os
import pty

import pytest

from pytest_mesh.contracts import Counts
from pytest_mesh.monitor import TerminalLine
from pytest_mesh.traffic.background import Background


def drawn():
    return Counts(counts={"v1": 1}, runs=(), failures={}, seconds=0.0)


def test_traffic_whose_count_cannot_be_told_ends_the_block_with_that_error():
    def tell(counts):
        raise RuntimeError(f"nobody listens to {counts}")

    background = Background(drawn, tell)

    with pytest.raises(RuntimeError, match="nobody listens"), background.running():
        pass
    assert background.counts == {"v1": 1}


def test_a_terminal_that_is_gone_takes_no_line_and_raises_nothing():
    master, slave = pty.openpty()

    def flush():
        os.write(slave, b"")

    line = TerminalLine(slave, flush)
    line.draw("here")
    os.close(master)
    os.close(slave)

    line.draw("gone")
    line.draw("")
    line.close()
