"""``refmesh analyze`` and ``refmesh describe`` over manifests: each code with a mesh that shows only it, and a sound twin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_reference.cli import main
from mesh_reference.commands import analysis, manifests_mesh
from mesh_reference.commands.analysis_messages import CODES
from mesh_reference.settings import Settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from analysis_cases import CASES, SOUND, namespace  # noqa: E402

sys.path.remove(str(HERE))
MESH = str(HERE / "mesh.yaml")
ONLY_IN_A_CLUSTER = {"IST0103"}


def analyze(documents: list[Any], *arguments: str) -> Result:
    text = yaml.safe_dump_all(documents)
    return CliRunner().invoke(main, ["analyze", "-", *arguments], input=text)


def test_a_sound_mesh_has_no_findings() -> None:
    result = analyze(SOUND)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "✔ No validation issues found when analyzing -.\n"


@pytest.mark.parametrize("code", CASES)
def test_a_mesh_with_one_mistake_has_that_code_and_no_other(code: str) -> None:
    result = analyze(CASES[code], "-o", "json")
    assert {item["code"] for item in json.loads(result.stdout)} == {code}
    assert result.exit_code == (1 if CODES[code][0] == "Error" else 0)


def test_every_code_has_its_case() -> None:
    assert {*CASES, *ONLY_IN_A_CLUSTER} == set(CODES)


def test_a_clusters_pod_without_its_sidecar_is_told_and_a_manifests_is_not() -> None:
    injected = namespace("default", {"istio-injection": "enabled"})
    found = [{**item, "metadata": {"namespace": "default", **item["metadata"]}} for item in (*SOUND, injected)]
    running = [
        {**item, "status": {"podIP": "10.0.0.1", "phase": "Running"}} if item["kind"] == "Pod" else item
        for item in found
    ]
    told: list[Any] = analysis.analyze(manifests_mesh.of_objects(running, Settings()))
    (text,) = [item.line for item in told if item.code == "IST0103"]
    assert text.startswith("Warning [IST0103] (Pod default/a) The pod default/a is missing the Istio proxy. ")
    assert "IST0103" not in analyze([*SOUND, injected]).stdout


def test_a_code_can_be_left_out_for_one_resource() -> None:
    assert analyze(CASES["IST0101"], "-S", "IST0101=VirtualService a.default").stdout == ""
    assert analyze(CASES["IST0101"], "-S", "IST0101=VirtualService *.default").stdout == ""
    assert "IST0101" in analyze(CASES["IST0101"], "-S", "IST0101=VirtualService b.default").stdout


def test_what_cannot_be_read_is_told_and_the_rest_analyzed() -> None:
    text = yaml.safe_dump_all(CASES["IST0101"]) + "---\na: [\n---\nmetadata: {name: x}\n"
    result = CliRunner().invoke(main, ["analyze", "-"], input=text)
    assert result.exit_code == 2
    assert "IST0101" in result.stdout
    assert len(result.stderr.splitlines()) == 2


def test_a_finding_is_a_line_with_level_code_resource_and_place() -> None:
    result = CliRunner().invoke(main, ["analyze", MESH])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == (
        f"Error [IST0101] (VirtualService shop/reviews {MESH}:45) "
        'Referenced host+subset in destinationrule not found: "reviews+nope"'
    )


def test_a_code_can_be_left_out_and_the_threshold_moved() -> None:
    assert analyze(CASES["IST0101"], "-S", "IST0101").exit_code == 0
    assert analyze(CASES["IST0118"]).exit_code == 0
    assert analyze(CASES["IST0118"], "--failure-threshold", "info").exit_code == 1
    assert analyze(SOUND, "-S", "IST9999").exit_code == 2


def test_the_codes_are_listed() -> None:
    listed = CliRunner().invoke(main, ["analyze", "-L"]).stdout
    assert all(code in listed for code in CODES)


def describe(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["describe", *arguments, "-f", MESH])


def test_a_pod_is_described_with_its_subset_and_its_routes() -> None:
    result = describe("pod", "shop/reviews-v1")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[:3] == ["Pod: reviews-v1.shop", "Pod Revision: default", "Pod Ports: 8080 (a)"]
    assert "Port: http 80/HTTP targets pod port web" in lines
    assert lines[lines.index("Matching subsets: v1") + 1] == "(Non-matching subsets v2)"
    assert f"VirtualService: reviews.shop   [{MESH}:37]" in lines
    assert any(line.startswith('Route to host "reviews" subset "v1" when ') for line in lines)
    assert "2 additional destination(s) that will not reach this pod" in lines
    assert lines[-2:] == ["Effective PeerAuthentication:", "Workload mTLS mode: PERMISSIVE"]
    assert result.exit_code == 1


def test_what_is_missing_is_a_warning_and_exit_code_1() -> None:
    result = describe("pod", "shop/tester", "-o", "json")
    assert json.loads(result.stdout)["warnings"] == [
        "the pod has no label 'version', which subsets and telemetry go by",
        "no Service leads to this pod",
    ]
    assert result.exit_code == 1


def test_a_service_is_described_and_an_unknown_one_is_told_with_those_there_are() -> None:
    shown = describe("service", "shop/reviews")
    assert "Endpoints: 1 ready of 1" in shown.stdout
    assert "WARNING: subset nope is defined by no DestinationRule: requests to it get 503 NC" in shown.stdout
    assert "WARNING: subset v2 selects no pod: requests to it get 503 UH" in shown.stdout
    assert shown.exit_code == 1
    facts = json.loads(describe("service", "shop/reviews", "-o", "json").stdout)
    assert facts["destinationRules"][0]["endpoints"] == {"v1": 1, "v2": 0}
    unknown = describe("service", "shop/nope")
    assert (unknown.exit_code, unknown.stderr) == (2, "no Service shop/nope; there are: shop/reviews\n")


def test_a_pod_is_described_with_the_peer_authentications_that_apply_to_it(tmp_path: Path) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(
        Path(MESH).read_text()
        + """
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ours, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: theirs, namespace: shop}
spec: {selector: {matchLabels: {app: nobody}}, mtls: {mode: DISABLE}}
"""
    )
    shown = CliRunner().invoke(main, ["describe", "pod", "shop/reviews-v1", "-f", str(file)])
    line = 1 + file.read_text().splitlines().index("spec: {mtls: {mode: STRICT}}")
    assert [text.strip() for text in shown.stdout.splitlines()][-4:] == [
        "Effective PeerAuthentication:",
        "Workload mTLS mode: STRICT",
        "Applied PeerAuthentication:",
        f"ours.shop   [{file}:{line}]",
    ]
