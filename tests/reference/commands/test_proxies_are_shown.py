"""``refmesh proxy-config`` from manifests and from a saved dump: istioctl's columns, and Envoy's form of JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_reference.cli import main
from mesh_reference.commands import dump

MESH = str(Path(__file__).parent / "mesh.yaml")
OFFLINE = ("-f", MESH, "--for", "shop/tester")
V1 = "outbound|80|v1|reviews.shop.svc.cluster.local"


def show(what: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["proxy-config", what, *arguments])


def words(result: Result) -> list[list[str]]:
    """Cells of each line: they begin where the words of the heading do, which stand two blanks apart at least."""
    assert result.exit_code == 0, result.output
    heading, *lines = result.stdout.splitlines()
    starts = [0, *(found.end() for found in re.finditer(r"\s{2,}|(?<=PORT) | (?=PORT|MATCH|DEST)", heading))]
    ends = [*starts[1:], None]
    return [[line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in (heading, *lines)]


@pytest.mark.parametrize(
    ("what", "columns", "row"),
    [
        (
            "cluster",
            ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
            ["reviews.shop.svc.cluster.local", "80", "v1", "outbound", "EDS", "reviews.shop"],
        ),
        (
            "listener",
            ["ADDRESSES", "PORT", "MATCH", "DESTINATION"],
            ["0.0.0.0", "80", "Trans: raw_buffer; App: HTTP", "Route: 80"],
        ),
        (
            "endpoint",
            ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"],
            ["192.0.2.1:8080", "HEALTHY", "OK", V1],
        ),
    ],
)
def test_a_table_has_istioctls_columns(what: str, columns: list[str], row: list[str]) -> None:
    lines = words(show(what, *OFFLINE))
    assert lines[0] == columns
    assert row in lines


def test_the_route_table_names_the_virtual_service_of_each_route() -> None:
    lines = words(show("route", *OFFLINE))
    assert lines[0] == ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"]
    assert [line[3] for line in lines if line[-1] == "reviews.shop"] == [
        "/empty*",
        "/undefined",
        "/tea",
        "/*",
    ]


def test_json_of_all_has_the_form_of_envoys_dump_and_reads_back(tmp_path: Path) -> None:
    result = show("all", *OFFLINE, "-o", "json")
    kinds = [section["@type"].rpartition(".")[2] for section in json.loads(result.stdout)["configs"]]
    assert kinds == ["ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump", "EndpointsConfigDump"]
    saved = tmp_path / "dump.json"
    saved.write_text(result.stdout)
    for what in ("cluster", "listener", "route", "endpoint"):
        assert show(what, "--file", str(saved)).stdout == show(what, *OFFLINE).stdout


def test_names_in_camel_case_are_read_too() -> None:
    value = {"configs": [{"@type": "x.RoutesConfigDump", "dynamicRouteConfigs": [{"routeConfig": {"name": "80", "virtualHosts": []}}]}]}  # fmt: skip
    assert dump.read(value).routes == ({"name": "80", "virtual_hosts": []},)


def test_a_host_and_a_port_narrow_what_is_shown() -> None:
    rows = words(show("cluster", *OFFLINE, "--fqdn", "reviews.shop.svc.cluster.local", "--port", "80"))
    assert {row[0] for row in rows[1:]} == {"reviews.shop.svc.cluster.local"}
    assert len(words(show("cluster", *OFFLINE, "--port", "81"))) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "name one source"),
        (("-f", MESH, "a"), 2, "name one source"),
        (("-f", MESH), 2, f"{MESH}: not JSON"),
        (("-f", MESH, "-f", MESH), 2, "-f MANIFESTS and --for NAMESPACE/POD go together"),
        (("--file", "/nowhere.json"), 2, "/nowhere.json: No such file or directory"),
        (("-f", MESH, "--for", "shop/nobody"), 2, "no pod shop/nobody"),
    ],
)
def test_bad_input_is_told_and_ends_with_2(arguments: tuple[str, ...], code: int, says: str) -> None:
    result = show("route", *arguments)
    assert result.exit_code == code
    assert says in result.stderr


@pytest.mark.parametrize(
    ("text", "says"), [("{", "not JSON"), ("[]", "no config dump"), ('{"configs": {}}', "no config dump")]
)
def test_what_is_no_dump_is_told_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    saved = tmp_path / "dump.json"
    saved.write_text(text)
    result = show("all", "--file", str(saved))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{saved}: {says}")
    assert result.stderr.count("\n") == 1
