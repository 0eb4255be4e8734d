"""``refmesh analyze`` and ``refmesh describe`` over manifests: each code with a mesh that shows only it, and a sound twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_reference.cli import main
from mesh_reference.commands.analysis import CODES

Json = dict[str, Any]
MESH = str(Path(__file__).parent / "mesh.yaml")
TO: Json = {"destination": {"host": "reviews", "port": {"number": 80}}}


def resource(kind: str, name: str, spec: Json) -> Json:
    group = "security" if kind in {"PeerAuthentication", "AuthorizationPolicy"} else "networking"
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(*ports: Json) -> Json:
    spec = {"selector": {"app": "reviews"}, "ports": list(ports) or [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews"}, "spec": spec}


POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "labels": {"app": "reviews", "v": "1"}},
    "spec": {},
}
SOUND = [service(), POD, resource("VirtualService", "a", {"hosts": ["reviews"], "http": [{"route": [TO]}]})]
HTTP, ADMIN = {"name": "http", "port": 80}, {"name": "http-admin", "port": 81}
BARE = {"destination": {"host": "reviews"}}
CASES: dict[str, list[Json]] = {
    "IST0101": [*SOUND[:2], resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "nope"}}]}]})],
    "IST0106": [*SOUND, resource("PeerAuthentication", "p", {"portLevelMtls": {"80": {"mode": "STRICT"}}})],
    "IST0109": [*SOUND, resource("VirtualService", "b", {"hosts": ["reviews"], "http": [{"route": [TO]}]})],
    "IST0112": [service(HTTP, ADMIN), POD, resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [BARE]}]})],
    "IST0118": [service({"name": "web", "port": 80}), POD],
    "IST0127": [*SOUND, resource("PeerAuthentication", "p", {"selector": {"matchLabels": {"app": "nope"}}})],
    "IST0128": [*SOUND, resource("DestinationRule", "r", {"host": "reviews", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})],
    "IST0129": [
        *SOUND,
        resource(
            "DestinationRule",
            "r",
            {"host": "reviews", "trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}},
        ),
    ],
    "IST0130": [*SOUND[:2], resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [TO]}, {"route": [TO]}]})],
    "IST0133": [
        *SOUND[:2],
        resource(
            "VirtualService",
            "a",
            {"hosts": ["x"], "http": [{"directResponse": {"status": 200, "body": {"string": "x" * 110_000}}}]},
        ),
    ],
    "IST0173": [*SOUND, resource("DestinationRule", "r", {"host": "reviews", "subsets": [{"name": "v2", "labels": {"v": "2"}}]})],
    "IST0174": [*SOUND, resource("DestinationRule", "r", {"host": "nope"})],
}  # fmt: skip


def analyze(documents: list[Json], *arguments: str) -> Result:
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
    assert "Effective PeerAuthentication: PERMISSIVE" in lines
    assert "Port: http 80/HTTP" in lines
    assert "Subset v1: 1 endpoints, this pod among them" in lines
    assert any(line.startswith("VirtualService: reviews.shop takes requests to it") for line in lines)
    assert result.exit_code == 1


def test_what_is_missing_is_a_warning_and_exit_code_1() -> None:
    result = describe("pod", "shop/tester", "-o", "json")
    assert json.loads(result.stdout)["warnings"] == [
        "the pod has no label 'version', which subsets and telemetry go by",
        "no Service leads to this pod",
    ]
    assert result.exit_code == 1


def test_a_service_is_described_and_an_unknown_one_is_told_with_those_there_are() -> None:
    assert "Endpoints: 1 ready of 1" in describe("service", "shop/reviews").stdout
    unknown = describe("service", "shop/nope")
    assert (unknown.exit_code, unknown.stderr) == (2, "no Service shop/nope; there are: shop/reviews\n")
