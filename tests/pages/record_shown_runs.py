"""Records the two runs whose pages docs/report.md shows (``make shown-runs``): the suite, and the broken file of docs/start.md.

The reports stay as the runs wrote them but for what ``told_apart`` takes out. Of the
evidence those files are kept that the page shows. Nothing is recorded of a run that ended otherwise than it must.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from pytest_mesh import documents
from pytest_mesh.report import page
from pytest_mesh.report.verification import problems

sys.path.insert(0, str(Path(__file__).parent))
from walking import Reader, steps

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
START = (ROOT / "docs" / "start.md").read_text()
BROKEN = next(one.command for one in steps(START) if one.command.startswith("sed -i -e 's/weight: 80"))
PASSING = "pytest conformance --mesh-implementation=reference"
CHOSEN = "-q -p no:cacheprovider --mesh-cluster=local --mesh-cluster-name=shown-runs --mesh-fresh"


def told_apart(report: str) -> tuple[str, str]:
    """Give a report without the machine's kernel and its folders, and the bundle's path: one failure's, or none."""
    without = re.sub(r"^  kernel: .*\n", "", report, flags=re.MULTILINE)
    bundle = re.search(r"^  bundle: (\S+)\n", without, flags=re.MULTILINE)
    if bundle is None:
        return without, ""
    return without.replace(bundle[0], "  bundle: evidence\n"), bundle[1]


def run(command: str, folder: Path, report: Path, *, code: int) -> str:
    """Run it, and give the report that it wrote."""
    line = [sys.executable, "-m", *command.split(), *CHOSEN.split(), f"--mesh-report={report}"]
    click.echo(" ".join(line))
    done = subprocess.run(line, cwd=folder, check=False)
    if done.returncode != code:
        raise click.ClickException(f"exit code {done.returncode}, not {code}: nothing is recorded of this run")
    return report.read_text()


def record_passing(scratch: Path) -> None:
    """The suite on the reference."""
    text, _ = told_apart(run(PASSING, ROOT, scratch / "passing.yaml", code=0))
    save("passing", text)


def record_failing(scratch: Path) -> None:
    """The files of docs/start.md with the weights 75 and 25, where the test says 80 and 20."""
    folder = scratch / "first"
    folder.mkdir()
    reader = Reader(folder, {"PATH": "/usr/bin:/bin"})
    reader.save(START)
    code, said = reader.do(BROKEN)
    if code:
        raise click.ClickException(said)
    text, bundle = told_apart(run("pytest", folder, scratch / "failing.yaml", code=1))
    shown = page.read_files(folder)(bundle)
    if "failure.txt" not in shown:
        raise click.ClickException(f"no evidence in {bundle}")
    save("failing", text)
    for path in sorted((PICTURES / "evidence").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name, content in shown.items():
        kept = PICTURES / "evidence" / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(content.replace(str(folder), "."))


def save(name: str, text: str) -> None:
    """Write a report that holds together."""
    if wrong := problems(documents.load(text, source=name)):
        raise click.ClickException("; ".join(wrong))
    (PICTURES / f"{name}.yaml").write_text(text)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(["passing", "failing"]))
def main(names: tuple[str, ...]) -> None:
    """Record the runs anew: both, or those that are named."""
    with tempfile.TemporaryDirectory(prefix="mesh-shown-") as scratch:
        for name in names or ("failing", "passing"):
            {"passing": record_passing, "failing": record_failing}[name](Path(scratch))


if __name__ == "__main__":
    main()
