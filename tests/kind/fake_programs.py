"""Stand-ins for ``docker`` and ``kind`` on PATH: they write down what they are asked and answer from files."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path

here = Path(__file__).parent
name = Path(__file__).name
argv = [name, *sys.argv[1:]]
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps(argv) + "\\n")
line = " ".join(argv)
clusters = here / "clusters"
if line.startswith("kind create cluster"):
    print(" • Preparing nodes ...", file=sys.stderr, flush=True)
    if (here / "refuse").exists():
        print("ERROR: failed to create cluster: " + (here / "refuse").read_text(), file=sys.stderr)
        sys.exit(1)
    if (here / "slow").exists():
        (here / "creating").touch()
        time.sleep(60)
    Path(argv[argv.index("--kubeconfig") + 1]).write_text("kubeconfig")
    (clusters / argv[argv.index("--name") + 1]).touch()
elif line.startswith("kind delete cluster"):
    (clusters / argv[argv.index("--name") + 1]).unlink(missing_ok=True)
elif line.startswith("kind get clusters"):
    print("\\n".join(sorted(one.name for one in clusters.iterdir())))
elif line.startswith("docker ps"):
    print("" if (here / "stopped").exists() else "abc")
elif line.startswith("docker info"):
    print("2")
elif line.startswith("docker image inspect"):
    images = json.loads((here / "images.json").read_text())
    if argv[-1] not in images:
        sys.exit("no such image")
    print(images[argv[-1]]["label" if "Labels" in line else "id"])
elif line.startswith("docker build"):
    context = sys.stdin.buffer.read()
    (here / "context.tar").write_bytes(context)
    images = json.loads((here / "images.json").read_text())
    label = argv[argv.index("--label") + 1].partition("=")[2]
    images[argv[argv.index("--tag") + 1]] = {{"id": "sha256:" + label, "label": label}}
    (here / "images.json").write_text(json.dumps(images))
"""


@dataclass(frozen=True, slots=True)
class Programs:
    """A directory with both programs."""

    directory: Path

    @property
    def calls(self) -> list[str]:
        log = self.directory / "calls.jsonl"
        return [" ".join(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []

    def called(self, begin: str) -> list[str]:
        return [line for line in self.calls if line.startswith(begin)]

    def images(self, **images: str) -> None:
        table = {name: {"id": one, "label": ""} for name, one in images.items()}
        (self.directory / "images.json").write_text(json.dumps(table))


def install(directory: Path) -> Programs:
    """Write both programs; the directory is to be the whole of PATH."""
    (directory / "clusters").mkdir(parents=True)
    for name in ("docker", "kind"):
        path = directory / name
        path.write_text(_PROGRAM)
        path.chmod(0o755)
    programs = Programs(directory)
    programs.images(**{"base:1": "sha256:base"})
    return programs


def path_with(directory: Path) -> str:
    return os.pathsep.join([str(directory), "/usr/bin", "/bin"])
