"""The live line: on a terminal while a phase is long, never in its way, and nowhere else; the longest waits at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh import monitor
from pytest_mesh.monitor import RunMonitor, TerminalLine, leave_in
from pytest_mesh.progress import Status

sys.path.insert(0, str(Path(__file__).parent))
from terminal_screen import Screen

ROWS, COLUMNS = 24, 100
LONG = """
import time
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_waits(mesh_namespace, number):
    until = time.monotonic() + 0.8
    mesh_namespace.eventually(lambda: time.monotonic() > until, "the tide", seconds=9)

def test_plain(): pass
"""


@pytest.fixture
def terminal():
    """A terminal of its own: (descriptor to write to, what was written so far)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.set_blocking(master, False)

    def written():
        found = b""
        while True:
            try:
                part = os.read(master, 65536)
            except (BlockingIOError, OSError):
                return found.decode()
            if not part:
                return found.decode()
            found += part

    yield slave, written
    os.close(master)
    os.close(slave)


def run_on(terminal, project, *arguments):
    slave, written = terminal
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    done = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    said = ""
    while done.poll() is None:
        said += written()
        try:
            done.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    return done.returncode, said + written()


def test_a_long_phase_has_a_line_on_a_terminal_and_leaves_none(project, terminal):
    """Under workers: live_line_of_workers.py (make pages)."""
    project.pytester.makepyfile(LONG)

    code, said = run_on(terminal, project, "-v", "--mesh-waits=2")

    assert code == 0, said
    look_at(said, r"mesh: test_waits\[[12]\]")


def look_at(said, beginning):
    drawn = re.findall(r"\x1b7\x1bD\r([^\x1b]*)\x1b\[K\x1b8", said)
    assert [one for one in drawn if re.match(beginning + r": waits for the tide: \d\.\d of 9 s", one)], said
    screen = Screen(rows=ROWS, columns=COLUMNS)
    screen.feed(said)
    assert "of 9 s" not in screen.text
    assert len(re.findall(r"PASSED", screen.text)) == 3
    assert re.search(r"mesh: slowest 2 waits =+\n[012]\.\d\ds the tide: .*\n[012]\.\d\ds the tide: ", screen.text)


def test_elsewhere_there_are_plain_lines_only(project):
    project.pytester.makepyfile(LONG.replace("0.8", "0.3").replace("[1, 2]", "[1]"))

    result = project.run("--durations=1")

    assert "\x1b" not in result.stdout.str()
    assert "of 9 s" not in result.stdout.str()
    result.stdout.re_match_lines([r"=+ mesh: slowest 1 waits =+", r"0\.\d\ds the tide: test_.*\[1\]"])


def test_no_waits_are_listed_unasked(project):
    project.pytester.makepyfile("def test_it(mesh_namespace): mesh_namespace.eventually(lambda: True, 'the tide')")

    assert "slowest" not in project.run().stdout.str()


@pytest.mark.parametrize("value", ["-1", "x", "1.5"])
def test_a_number_of_waits_that_cannot_be_is_refused(project, value):
    result = project.run(f"--mesh-waits={value}")

    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*--mesh-waits: '{value}' is no whole number from 0 on*"])


def test_a_status_says_how_far_how_fast_and_which_shares():
    split = Status(phase="split of http://reviews", done=1200, total=1480, counts={"v2": 240, "v1": 960})

    assert split.line(2.0) == "split of http://reviews: 1,200 of 1,480 requests, 600/s, v1 80.0 %, v2 20.0 %, 2.0 s"
    assert Status(phase="p", done=0, counts={"v1": 0}).line(0.0) == "p: 0 requests, 0.0 s"
    assert Status(phase="p", done=1, total=3, of="pods", budget=60).line(1.5) == "p: 1 of 3 pods, 1.5 of 60 s"


def test_short_phases_and_quick_repeats_are_not_drawn(monkeypatch):
    clock = iter([0.0, 0.4, 0.6, 0.7, 0.9])
    monkeypatch.setattr(monitor.time, "monotonic", lambda: next(clock))
    drawn = []
    watched = RunMonitor(drawn.append)
    watched.begin("test_it")
    for number in range(5):
        watched.show(Status(phase="p", done=number, of="pods"))

    assert drawn == ["mesh: test_it: p: 2 pods, 0.6 s", "mesh: test_it: p: 4 pods, 0.9 s"]


def test_a_test_keeps_its_longest_waits():
    watched = RunMonitor(None)
    for number in range(9):
        watched.waited(f"wait {number}", float(number))

    assert watched.waits() == [(float(number), f"wait {number}") for number in (8, 7, 6, 5, 4)]
    watched.begin("another")
    assert watched.waits() == []


def test_hostile_text_is_no_escape_on_the_terminal(terminal):
    slave, written = terminal
    line = TerminalLine(slave, lambda: None)

    line.draw("v1\x1b]0;owned\x07\n\x9b2J\u202e 20 %")

    assert written() == "\x1bD\x1bM\x1b7\x1bD\rv1?]0;owned???2J? 20 %\x1b[K\x1b8"
    line.close()


@given(
    before=st.lists(st.text("ab.", max_size=250), min_size=1, max_size=40),
    live=st.text("xyz", min_size=1, max_size=300),
    after=st.text("c.", max_size=50),
)
def test_wherever_the_cursor_stands_the_line_changes_nothing_of_what_pytest_writes(before, live, after):
    """On a screen of any fill: with the line drawn and taken away it reads as without."""
    plain, other = Screen(rows=6, columns=40), Screen(rows=6, columns=40)
    text = "\n".join(before)
    plain.feed(text + after)
    other.feed(text)
    other.feed(f"\x1bD\x1bM\x1b7\x1bD\r{live[:39]}\x1b[K\x1b8")
    assert live[:39] in other.text
    other.feed("\x1b[J" + after)

    assert other.text == plain.text


def test_a_worker_leaves_its_line_in_a_file_whole_or_not_at_all(tmp_path):
    draw = leave_in(tmp_path / "gw0.line")

    draw("mesh: one")
    assert (tmp_path / "gw0.line").read_text() == "mesh: one"
    draw("")
    assert list(tmp_path.iterdir()) == []
