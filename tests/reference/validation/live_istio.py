"""Istio itself refuses the bad documents and takes their twins: `istioctl validate`, which runs istiod's own rules offline.

Needs MESH_ISTIO_BIN with istioctl in it. Not among the quick tests: ``make validation-live`` runs it. What differs is
listed with reasons in istio_differences.yaml, which docs/validation.md shows; a difference that is not listed, or is gone, fails.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh_conformance.validation.vectors import all_vectors
from mesh_reference import documents
from mesh_reference.model.schema import kinds
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors

sys.path.insert(0, str(Path(__file__).parent))

from mutating import mutated

Json = dict[str, Any]
HERE = Path(__file__).parent
LISTED = documents.load_all((HERE / "istio_differences.yaml").read_text())[0].value
GENERATED = 6000
SEED = 20
TOLD = re.compile(r"\t\* \w+/(?:\w+/)?([\w.-]+): ")


def refused(found: list[Json], folder: Path) -> set[str]:
    """Names of the documents that istioctl refuses. Each name is one document's alone."""
    program = Path(os.environ["MESH_ISTIO_BIN"]) / "istioctl"
    names: set[str] = set()
    for start in range(0, len(found), 1000):
        argv = [str(program), "validate"]
        for number, document in enumerate(found[start : start + 1000], start):
            path = folder / f"{number}.yaml"
            path.write_text(json.dumps(document))
            argv += ["-f", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        told = False
        for line in (done.stdout + "\n" + done.stderr).splitlines():
            if line.startswith("Error:"):
                told = True
            elif "has warnings" in line or "is valid" in line:
                told = False
            elif told and (match := TOLD.match(line)):
                names.add(match[1])
    return names


@pytest.fixture(autouse=True)
def istio() -> None:
    if "MESH_ISTIO_BIN" not in os.environ:
        pytest.skip("MESH_ISTIO_BIN is not set: there is no istioctl to ask")


def test_istio_takes_every_twin(tmp_path: Path) -> None:
    assert refused([vector.good for vector in all_vectors()], tmp_path) == set()


def test_istio_refuses_every_bad_document_but_those_that_are_listed(tmp_path: Path) -> None:
    vectors = [vector for vector in all_vectors() if vector.severity == "error"]
    names = refused([vector.bad for vector in vectors], tmp_path)
    taken = {f"{vector.rule} {vector.line}" for vector in vectors if vector.bad["metadata"]["name"] not in names}
    assert taken == {f"{one['rule']} {one['document']}" for one in LISTED if "document" in one}


def test_istio_only_tells_what_we_only_tell(tmp_path: Path) -> None:
    vectors = [vector for vector in all_vectors() if vector.severity == "warning"]
    assert refused([vector.bad for vector in vectors], tmp_path) == set()


def test_generated_documents_get_the_same_verdict_but_for_what_is_listed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    twins = [vector.good for vector in all_vectors() if len(str(vector.good)) < 3000]
    spec_of = {kind.kind: kind.spec for kind in kinds.KINDS}
    found = []
    for number in range(GENERATED):
        document = json.loads(json.dumps(chance.choice(twins)))
        document["metadata"]["name"] = f"g{number}"
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            document["spec"] = mutated(document["spec"], spec_of[document["kind"]], chance)
        found.append(document)
    names = refused(found, tmp_path)
    listed = {(one["kind"], one["rule"]) for one in LISTED}
    different = []
    for document in found:
        ours = errors(galley.validate(document))
        if bool(ours) == (document["metadata"]["name"] in names):
            continue
        if not ours or any((document["kind"], one.rule) not in listed for one in ours):
            different.append(([one.text for one in ours], document["spec"]))
    print(f"\n{GENERATED} generated documents, {len(names)} refused by Istio")  # noqa: T201
    assert different == []
