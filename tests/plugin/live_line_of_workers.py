"""The live line of workers, which the controller draws (make pages: two workers take seconds to start)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from test_live_line import LONG, look_at, run_on, terminal  # noqa: F401 - a fixture


def test_the_controller_draws_the_line_of_a_worker(project, terminal):  # noqa: F811
    project.pytester.makepyfile(LONG.replace("0.8", "2.0"))

    code, said = run_on(terminal, project, "-v", "--mesh-waits=2", "-n2")

    assert code == 0, said
    look_at(said, r"\[gw[01]\] mesh: test_waits\[[12]\]")
