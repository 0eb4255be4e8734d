"""Fuzzes each target with atheris, from the saved corpus: ``make fuzz``. Deliberately not collected by pytest.

Each target runs in a process of its own. What is new is kept under .mesh/fuzz;
an input that breaks a law is written there too, and the exit code is 1.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
KEPT = HERE.parents[1] / ".mesh" / "fuzz"
NAMES = ("spiffe_id", "csr", "x509", "bundle")
INPUT_SECONDS, INPUT_BYTES, MEMORY_MB = 10, 8192, 2048


@click.command()
@click.option("--seconds", default=60, show_default=True, help="For each target.")
@click.option("--target", type=click.Choice(NAMES), multiple=True, help="Only this one; else all.")
@click.option("--inside", hidden=True, default="")
def main(seconds: int, target: tuple[str, ...], inside: str) -> None:
    """Fuzz the parsers of CSRs, SPIFFE IDs, certificates and bundles."""
    if inside:
        _fuzz(inside, seconds)
    failed = []
    for name in target or NAMES:
        click.echo(f"== {name}, {seconds} s")
        done = subprocess.run([sys.executable, __file__, "--inside", name, "--seconds", str(seconds)], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        click.echo(f"a law is broken: {', '.join(failed)}; the inputs are in {KEPT}", err=True)
        sys.exit(1)


def _fuzz(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["pytest_mesh", "mesh_reference", "targets"]):
        sys.path.insert(0, str(HERE))
        import targets

    kept = KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_SECONDS}",
        f"-max_len={INPUT_BYTES}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={kept}/broken-",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    if (words := HERE / f"{name}.words").is_file():
        options.append(f"-dict={words}")
    atheris.Setup([sys.argv[0], *options, str(kept), str(CORPUS / name)], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
