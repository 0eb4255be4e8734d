"""What `refmesh validate` takes for 1,000 documents, start-up and output included. Run with ``make bench``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from mesh_conformance.validation.vectors import all_vectors
from mesh_reference import documents

COUNT = 1000
BUDGET = 2.0
RUNS = 3


def test_a_thousand_documents_are_validated_in_two_seconds(tmp_path: Path) -> None:
    sound = [vector.good for vector in all_vectors() if len(str(vector.good)) < 3000]
    metadata = ({"name": f"d{number}", "namespace": "shop"} for number in range(COUNT))
    whole = [{**sound[number % len(sound)], "metadata": one} for number, one in enumerate(metadata)]
    path = tmp_path / "all.yaml"
    path.write_text(documents.dump_all(whole))
    took = []
    for _ in range(RUNS):
        started = time.monotonic()
        argv = [sys.executable, "-m", "mesh_reference.cli", "validate", "-f", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        took.append(time.monotonic() - started)
        assert f"{COUNT} resources checked, 0 errors" in done.stderr
    print(f"\nvalidate: {COUNT} documents, {path.stat().st_size // 1000} kB: {min(took):.2f} s (best of {RUNS})")  # noqa: T201
    assert min(took) <= BUDGET
