"""The conformance suite's own shape: what must hold of it before any cluster exists."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mesh_conformance import catalogue
from pytest_mesh import documents

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "conformance" / "mesh_conformance"
EXAMPLES = ROOT / "examples"
KINDS = {
    ("v1", "Pod"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1beta1", "VirtualService"),
    ("networking.istio.io/v1", "DestinationRule"),
    ("networking.istio.io/v1beta1", "DestinationRule"),
    ("security.istio.io/v1", "PeerAuthentication"),
    ("security.istio.io/v1", "AuthorizationPolicy"),
}

LIST_CHECKS = """
import json, pathlib, sys, pytest
class Listing:
    def pytest_collection_finish(self, session):
        rows = [[item.nodeid, [mark.args for mark in item.iter_markers("mesh_feature")]] for item in session.items]
        pathlib.Path(sys.argv[1]).write_text(json.dumps(rows))
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[2:]], plugins=[Listing()]))
"""


def yaml_files() -> list[Path]:
    found = [path for path in SUITE.rglob("*.yaml") if path.parent.name != "vectors"]  # those are cases, not documents
    return sorted([*found, *EXAMPLES.glob("*.yaml")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def checks(tmp_path_factory) -> list[tuple[str, list[str]]]:
    """Give (node id, features) of each check, as pytest itself collects them."""
    listing = tmp_path_factory.mktemp("checks") / "listing.json"
    done = subprocess.run(
        [sys.executable, "-c", LIST_CHECKS, str(listing), "conformance"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [(node, [args[0] for args in marks]) for node, marks in json.loads(listing.read_text())]


def test_every_feature_says_what_it_covers_where_it_is_specified_and_since_when():
    assert [one.id for one in catalogue.FEATURES if not (one.rows and one.link and one.spec and one.since)] == []


def test_every_feature_has_a_check(checks):
    proven = {feature for _, features in checks for feature in features}

    assert {feature.id for feature in catalogue.FEATURES} - proven == set()


def test_every_check_is_a_check_of_one_known_feature(checks):
    assert [node for node, features in checks if len(features) != 1] == []
    assert {feature for _, features in checks for feature in features} <= set(catalogue.BY_ID)


def test_the_checks_of_a_feature_stand_in_the_room_of_its_profile(checks):
    rooms = {
        "ISTIO-ROUTING": "routing",
        "MESH-INJECTION": "injection",
        "MESH-IDENTITY": "identity",
        "MESH-VALIDATION": "validation",
    }
    wrong = [
        node
        for node, (feature,) in checks
        if not {rooms[catalogue.BY_ID[feature].profile], "properties"} & set(node.split("::")[0].split("/"))
    ]

    assert wrong == []


@pytest.mark.parametrize("path", yaml_files(), ids=name_of)
def test_a_document_parses_and_is_of_a_known_kind(path):
    found = documents.read(path)

    assert found
    assert {(one["apiVersion"], one["kind"]) for one in found} <= KINDS


@pytest.mark.parametrize("path", sorted([*SUITE.rglob("test_*.yaml"), *EXAMPLES.glob("*.yaml")]), ids=name_of)
def test_a_document_stands_beside_the_test_that_uses_it(path):
    text = path.with_suffix(".py").read_text()

    assert path.name in text or 'with_suffix(".yaml")' in text


def test_the_seed_is_applied_to_the_letter():
    """The lesson's documents; only the apiVersion and the name that its DestinationRule lacks are added."""
    virtual_service, destination_rule = documents.read(SUITE / "routing" / "test_seed.yaml")

    assert virtual_service["spec"] == documents.load("""
hosts: [reviews]
http:
- match: [{ headers: { x-version: { exact: "v2" } } }]
  route: [{ destination: { host: reviews, subset: v2 } }]
- route:
  - destination: { host: reviews, subset: v1 }
    weight: 80
  - destination: { host: reviews, subset: v2 }
    weight: 20
""")
    assert destination_rule["spec"] == documents.load("""
host: reviews
subsets:
- name: v1
  labels: { version: v1 }
- name: v2
  labels: { version: v2 }
trafficPolicy: { connectionPool: { http: { http1MaxPendingRequests: 100 } } }
""")


def test_the_examples_apply_the_same_documents_as_the_suite():
    seed = documents.read(SUITE / "routing" / "test_seed.yaml")

    assert documents.read(EXAMPLES / "test_1_split.yaml") == seed
    assert documents.read(EXAMPLES / "test_2_trace.yaml") == seed


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("test_*.py")), ids=name_of)
def test_an_example_is_short_and_uses_public_fixtures_only(path):
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]

    assert len(code) <= 25
    assert not [line for line in code if re.match(r"(from|import) ", line) and "__future__" not in line]


def test_the_lesson_names_only_what_is_there():
    text = (ROOT / "docs" / "lesson.md").read_text()
    cells = "\n".join(line for line in text.splitlines() if line.startswith("|"))

    named = set(re.findall(r"`(examples/[\w.]+|\w+/test_\w+\.(?:py|yaml))`", text))
    assert named
    assert [one for one in named if not ((ROOT / one).is_file() or (SUITE / one).is_file())] == []
    features = set(
        re.findall(r"`((?:VS|DR|Inject|Svid|Rotation|Peer|Strict|Rejects|Accepted|Csr|Sds|Authz)\w*)`", text)
    )
    assert features == set(catalogue.BY_ID), "docs/lesson.md shows every feature, and no other"
    modules = set(re.findall(r"`((?:mesh_reference|pytest_mesh)/[\w/]+(?:\.py)?)`", cells))
    assert modules
    roots = (ROOT / "reference_impl", ROOT)
    assert [one for one in modules if not any((root / one).exists() for root in roots)] == []


def test_the_suite_imports_the_plugin_only():
    assert importlib.util.find_spec("mesh_reference") is not None
    imports = [
        f"{path.relative_to(SUITE)}: {line}"
        for path in SUITE.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.match(r"\s*(from|import) mesh_reference", line)
    ]

    assert imports == []


@pytest.mark.parametrize("file", ["istio.toml", "istio-released.toml", "beside/istio.toml"])
def test_istio_is_judged_by_every_feature_but_those_that_docs_istio_says_it_has_not(file):
    text = (ROOT / "pytest_mesh" / "implementations" / file).read_text()

    declared = tomllib.loads(text)["conformance"]["features"]

    assert set(catalogue.BY_ID) - set(declared) == {"CsrStrongKeys", "SdsKnownNames", "AcceptedNeverNacked"}
    assert len(declared) == len(set(declared))
