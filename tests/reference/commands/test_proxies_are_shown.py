"""``refmesh proxy-config`` from manifests and from a saved dump: istioctl's columns, and Envoy's form of JSON."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


def test_certificates_are_shown_with_their_trust_domain(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://cluster.local/ns/shop/sa/a")])
    made = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).public_key(key.public_key())
        .serial_number(0xA1B).not_valid_before(begin).not_valid_after(begin + dt.timedelta(days=1))
        .add_extension(names, critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    section = {
        "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
        "dynamic_active_secrets": [
            {"name": "default", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": pem}}}},
            {"name": "broken", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": "bm8="}}}},
        ],
    }
    saved = tmp_path / "dump.json"
    saved.write_text(json.dumps({"configs": [section]}))
    _, *lines = words(show("secret", "-f", str(saved)))
    assert lines == [
        ["default", "Cert Chain", "ACTIVE", "true", "00000000000000000000000000000a1b", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "cluster.local"],
        ["broken", "Cert Chain", "ACTIVE", "false", "-", "-", "-", "-"],
    ]  # fmt: skip


def test_endpoints_are_shown_as_the_running_envoy_sees_them(tmp_path: Path) -> None:
    def host(port: int, **status: Any) -> Any:
        return {"address": {"socket_address": {"address": "10.0.0.1", "port_value": port}}, "health_status": status}

    saved = tmp_path / "clusters.json"
    hosts = [host(1, eds_health_status="HEALTHY"), host(2, eds_health_status="HEALTHY", failed_outlier_check=True), host(3, failed_active_health_check=True)]  # fmt: skip
    saved.write_text(json.dumps({"cluster_statuses": [{"name": V1, "host_statuses": hosts}]}))
    assert words(show("endpoint", "-f", str(saved)))[1:] == [
        ["10.0.0.1:1", "HEALTHY", "OK", V1],
        ["10.0.0.1:2", "HEALTHY", "FAILED", V1],
        ["10.0.0.1:3", "UNHEALTHY", "OK", V1],
    ]


@pytest.mark.parametrize(
    ("part", "arguments", "first_cells"),
    [
        ("cluster", ("--fqdn", "reviews", "--subset", "v1"), {"reviews.shop.svc.cluster.local"}),
        ("cluster", ("--direction", "inbound"), set()),
        ("listener", ("--port", "80"), {"0.0.0.0"}),
        ("route", ("--name", "80", "--fqdn", "reviews"), {"80"}),
        ("endpoint", ("--cluster", V1), {"192.0.2.1:8080"}),
    ],
)
def test_each_part_has_its_filters(part: str, arguments: tuple[str, ...], first_cells: set[str]) -> None:
    assert {row[0] for row in words(show(part, *OFFLINE, *arguments))[1:]} == first_cells


def test_what_cannot_be_read_is_told_and_the_rest_shown(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [\n")
    result = show("cluster", "-f", MESH, "-f", str(bad), "--for", "shop/tester")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"{bad}:2:1: ")
    assert "reviews.shop.svc.cluster.local" in result.stdout


def test_equal_configuration_is_equal_text_so_that_it_can_be_compared() -> None:
    def maps(value: Any) -> list[Any]:
        found = list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        inner = [deep for item in found for deep in maps(item)]
        named = value.get("filter_metadata") if isinstance(value, dict) else None
        return [*inner, *([named, *named.values()] if isinstance(named, dict) else [])]

    seen = maps(json.loads(show("all", *OFFLINE, "-o", "json").stdout))
    assert len(seen) > 5
    assert all(list(item) == sorted(item) for item in seen if isinstance(item, dict))


@pytest.mark.parametrize(
    ("asked", "listens"),
    [
        ({"metadata": {"annotations": {"proxy.istio.io/config": 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}'}}}, "240.240."),
        ({"env": "true"}, "240.240."),
        ({"env": "false"}, "0.0.0.0"),
        ({}, "0.0.0.0"),
    ],
)  # fmt: skip
def test_a_pod_whose_agent_answers_names_listens_on_the_addresses_found_for_serviceentries(
    tmp_path: Path, asked: dict[str, Any], listens: str
) -> None:
    container: dict[str, Any] = {"name": "istio-proxy", "image": "a"}
    if "env" in asked:
        container["env"] = [{"name": "ISTIO_META_DNS_CAPTURE", "value": asked["env"]}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "shop", **asked.get("metadata", {})},
        "spec": {
            "containers": [{"name": "app", "image": "a"}],
            "initContainers": [container] if "env" in asked else [],
        },
    }
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {
            "hosts": ["x.example"],
            "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}],
            "resolution": "DNS",
        },
    }
    (tmp_path / "mesh.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, entry]}))
    arguments = ["proxy-config", "listener", "-f", str(tmp_path), "--for", "shop/a", "--port", "9000"]
    [row] = CliRunner().invoke(main, arguments).stdout.splitlines()[1:]
    assert row.startswith(listens)
