"""``refmesh explain``: one request followed through manifests, with the line that decided each step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_reference.cli import main

MESH = Path(__file__).parent / "mesh.yaml"


def explain(url: str, *arguments: str, pod: str = "shop/tester", source: str = str(MESH)) -> Result:
    return CliRunner().invoke(main, ["explain", "-f", source, "--from", pod, "--url", url, *arguments])


def line_of(words: str) -> int:
    return next(number for number, line in enumerate(MESH.read_text().splitlines(), 1) if words in line)


@pytest.mark.parametrize(
    ("url", "headers", "outcome", "code"),
    [
        ("http://reviews/x", ("x-version: v1",), "forwarded", 0),
        ("http://reviews.shop.svc.cluster.local:80/x", ("X-Version: v1",), "forwarded", 0),
        ("http://reviews/x", (), "404 NR (no route): the request goes no further", 1),
        ("http://reviews/empty/of/endpoints", (), "503 UH (no healthy endpoint)", 1),
        ("http://reviews/undefined", (), "503 NC (no such cluster: the subset, port or host is not defined)", 1),
        ("http://reviews/tea", (), "418, answered by the proxy itself", 0),
        ("http://example.com:8443/", (), "passes through to example.com:8443 as it is", 0),
        ("http://example.com/", (), "forwarded by PassthroughCluster", 0),
    ],
)
def test_the_outcome_is_what_a_client_would_see(url: str, headers: tuple[str, ...], outcome: str, code: int) -> None:
    result = explain(url, *(part for header in headers for part in ("-H", header)), "-o", "json")
    assert json.loads(result.stdout)["outcome"] == outcome
    assert result.exit_code == code


def test_each_step_names_the_line_that_decided_and_what_was_passed_over() -> None:
    steps = json.loads(explain("http://reviews/x", "-H", "x-version: v1", "-o", "json").stdout)["steps"]
    found = {step["step"]: step for step in steps}
    assert [step["step"] for step in steps] == ["listener", "virtual host", "route", "cluster", "endpoints"]
    assert found["route"]["place"] == f"{MESH}:{line_of('- headers:')}"
    assert "VirtualService shop/reviews http[3].match[1]" in found["route"]["text"]
    assert found["route"]["passedOver"] == [
        "VirtualService shop/reviews http[0].match[0]: the path does not begin with /empty",
        "VirtualService shop/reviews http[1].match[0]: the path is not /undefined",
        "VirtualService shop/reviews http[2].match[0]: the path is not /tea",
    ]
    assert found["cluster"]["place"] == f"{MESH}:{line_of('- name: v1')}"
    assert found["endpoints"]["text"].endswith(":8080 HEALTHY")


def test_the_text_tells_the_same_in_lines() -> None:
    lines = explain("http://reviews/tea").stdout.splitlines()
    assert lines[0] == "GET http://reviews/tea from shop/tester"
    assert lines[1].startswith(" 1 listener     0.0.0.0_80: HTTP, route configuration 80")
    assert lines[-1] == "=> 418, answered by the proxy itself"


def test_a_split_shows_every_share() -> None:
    text = MESH.read_text().replace(
        "    route: [{destination: {host: reviews, subset: v1}}]",
        "    route: [{destination: {host: reviews, subset: v1}, weight: 80}, {destination: {host: reviews}, weight: 20}]",
    )
    result = CliRunner().invoke(
        main,
        ["explain", "-f", "-", "--from", "shop/reviews-v1", "--url", "http://reviews/", "-H", "x-version: v1"],
        input=text,
    )
    assert "80% of requests to outbound|80|v1|reviews.shop.svc.cluster.local" in result.stdout
    assert "20% of requests to outbound|80||reviews.shop.svc.cluster.local" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"url": "reviews/x"}, "--url reviews/x: want http://host[:port]/path"),
        (
            {"url": "http://reviews", "pod": "shop/nobody"},
            "no pod shop/nobody; there are: shop/reviews-v1, shop/tester",
        ),
        ({"url": "http://reviews", "source": "/nowhere.yaml"}, "/nowhere.yaml: No such file or directory"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: dict[str, str], says: str) -> None:
    result = explain(**arguments)
    assert (result.exit_code, result.stderr) == (2, f"{says}\n")


def test_a_header_without_a_colon_is_told() -> None:
    result = explain("http://reviews", "-H", "x-version")
    assert (result.exit_code, result.stderr) == (2, "-H 'x-version': want 'name: value'\n")


def test_a_file_that_does_not_parse_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("a: [\n")
    result = explain("http://reviews", source=str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{tmp_path}/bad.yaml:2:1: ")
