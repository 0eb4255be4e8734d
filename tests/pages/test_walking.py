"""How a page is walked: its files, its commands, and what of their output must be as the page shows it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from walking import Reader, files, plain, steps, unlike

PAGE = """
Save as `a/b.txt`, or take your own:

```yaml
one: 1
```

```console
$ cat a/b.txt
one: 1
$ echo 12.5 s mesh-x-0a1b2c; echo end
7 s mesh-x-ffffff
...
```
"""


def test_files_and_commands_of_a_page_are_found():
    assert files(PAGE) == {"a/b.txt": "one: 1\n"}
    assert [one.command for one in steps(PAGE)] == ["cat a/b.txt", "echo 12.5 s mesh-x-0a1b2c; echo end"]


def test_figures_and_names_of_a_run_do_not_count():
    assert plain("mesh: up in 3.2 s") == plain("mesh: up in 11.07 s")
    assert plain("reviews.mesh-reviews-157be8.svc") == plain("reviews.mesh-reviews-aaaaaa.svc")
    assert plain("e-value 10^6.7; alpha 1e-06") == plain("e-value 10^16.2; alpha 1e-06")
    assert plain("weight: weight -20 < 0 [V12]") != plain("weight: weight -20 > 0 [V12]")
    assert plain("subset v1") != plain("subset v2")


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        (("b", "d"), []),
        (("...", "a", "...", "c x d"), ["c x d"]),
        (("d", "a"), ["a"]),
        (("a...",), []),
        (("e",), ["e"]),
    ],
)
def test_lines_that_were_not_printed_in_this_order_are_named(shown, missing):
    assert unlike(shown, "a\nb\nc\nd\n") == missing


def test_a_walk_saves_files_runs_commands_and_keeps_what_was_exported(tmp_path):
    (tmp_path / "w").mkdir()
    reader = Reader(tmp_path / "w", {"PATH": os.environ["PATH"]})
    reader.save(PAGE)
    for step in steps(PAGE):
        code, said = reader.do(step.command)
        assert (code, unlike(step.shown, said)) == (0, [])

    reader.do("export WORD=kept")

    assert reader.do("echo $WORD; exit 3") == (3, "kept\n")
