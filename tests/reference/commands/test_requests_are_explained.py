"""``refmesh explain``: one request followed through manifests, with the line that decided each step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

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
    names = ["listener", "virtual host", "route", "cluster", "endpoints", "authentication"]
    assert [step["step"] for step in steps] == names
    assert found["route"]["place"] == f"{MESH}:{line_of('- headers:')}"
    assert "VirtualService shop/reviews http[3].match[1]" in found["route"]["text"]
    assert found["route"]["passedOver"] == [
        "VirtualService shop/reviews http[0].match[0]: the path does not begin with /empty",
        "VirtualService shop/reviews http[1].match[0]: the path is not /undefined",
        "VirtualService shop/reviews http[2].match[0]: the path is not /tea",
    ]
    assert found["cluster"]["place"] == f"{MESH}:{line_of('- name: v1')}"
    assert found["endpoints"]["text"].endswith(":8080 HEALTHY (shop/reviews-v1)")


def test_the_text_tells_the_same_in_lines() -> None:
    lines = explain("http://reviews/tea").stdout.splitlines()
    assert lines[0] == "GET http://reviews/tea from shop/tester"
    assert lines[1].startswith(" 1 listener        0.0.0.0_80: HTTP, route configuration 80")
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


ROUTED = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: edge-1, namespace: shop, labels: {istio: edge}}
spec: {}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.test]}
  - {port: {number: 81, name: moved, protocol: HTTP}, hosts: [moved.test], tls: {httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: shop}
spec:
  hosts: [reviews, shop.test]
  gateways: [mesh, edge]
  http:
  - match: [{uri: {prefix: /d}}]
    delegate: {name: leaf}
  - match: [{uri: {prefix: /moved}}]
    redirect: {uri: /there, redirectCode: 308}
  - match: [{uri: {prefix: /cors}}]
    corsPolicy: {allowOrigins: [{exact: http://a.test}]}
    route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: leaf, namespace: shop}
spec:
  http:
  - match: [{uri: {prefix: /d/never}}]
    directResponse: {status: 418}
  - fault:
      abort: {httpStatus: 555, percentage: {value: 25}}
      delay: {fixedDelay: 2s, percentage: {value: 50}}
    rewrite: {uri: /r}
    timeout: 3s
    mirror: {host: reviews}
    headers: {request: {set: {x-a: one}, remove: [x-b]}}
    route:
    - destination: {host: reviews}
"""


def routed(url: str, *arguments: str, pod: str = "shop/reviews-1", text: str = ROUTED) -> Any:
    argv = ["explain", "-f", "-", "--from", pod, "--url", url, "-o", "json", *arguments]
    result = CliRunner().invoke(main, argv, input=text)
    return {**json.loads(result.stdout), "errors": result.stderr, "code": result.exit_code}


def row_of(words: str) -> str:
    return f"-:{next(number for number, line in enumerate(ROUTED.splitlines(), 1) if words in line)}"


def test_a_delegates_route_is_shown_with_its_own_line_and_its_roots() -> None:
    found = routed("http://reviews/d/x?q=1", "-H", "x-b: 2")
    places = [(step["step"], step["place"]) for step in found["steps"]]
    assert places[1] == ("virtual host", row_of("metadata: {name: reviews, namespace"))
    assert places[2:4] == [("route", row_of("- fault:")), ("delegate", row_of("- match: [{uri: {prefix: /d}}]"))]
    assert found["steps"][2]["passedOver"] == [
        "VirtualService shop/leaf http[0].match[0]: the path does not begin with /d/never"
    ]


def test_everything_that_is_done_to_the_request_has_its_step_and_line() -> None:
    found = routed("http://reviews/d/x?q=1", "-H", "x-b: 2")
    told = {(step["step"], step["text"]): step["place"] for step in found["steps"]}
    cluster = "outbound|80||reviews.shop.svc.cluster.local"
    for step, text, line in (
        ("fault", "50% of requests wait 2 s", "fault:"),
        ("fault", "25% of requests get 555", "fault:"),
        ("rewrite", "the path becomes /r/x?q=1", "rewrite:"),
        ("timeout", "after 3s the client gets 504", "timeout:"),
        ("mirror", f"100% of requests are copied to {cluster}", "mirror:"),
        ("headers", "request header x-a becomes one", "    headers:"),
        ("headers", "request header x-b is removed", "    headers:"),
    ):
        assert told[step, text] == row_of(line)
    assert found["outcome"] == "25% get 555, injected by fault.abort; the rest: forwarded"
    assert found["delay"] == {"seconds": 2.0, "share": 0.5}
    assert found["copies"] == [{"cluster": cluster, "share": 1.0}]
    assert [answer["share"] for answer in found["answers"]] == [0.25, 0.75]
    assert found["answers"][1]["path"] == "/r/x?q=1"
    assert found["answers"][1]["requestHeaders"] == {"x-a": "one", "x-b": None}


def test_a_redirect_is_shown_with_its_location() -> None:
    (answer,) = routed("http://reviews:80/moved?a=b")["answers"]
    assert (answer["status"], answer["location"]) == (308, "http://reviews/there?a=b")


def test_a_preflight_is_answered_by_the_proxy() -> None:
    headers = ("-H", "origin: http://a.test", "-H", "access-control-request-method: PUT", "-X", "OPTIONS")
    assert routed("http://reviews/cors", *headers)["outcome"] == "200, the preflight is answered by the proxy itself"


def test_a_gateways_pod_takes_what_its_servers_take() -> None:
    found = routed("http://shop.test/d/x", pod="shop/edge-1")
    assert found["steps"][0]["place"] == row_of("- {port: {number: 80")
    assert found["clusters"] == [{"cluster": "outbound|80||reviews.shop.svc.cluster.local", "weight": 1}]
    assert routed("http://other.test/", pod="shop/edge-1")["outcome"] == "404 NR (no virtual host)"
    (moved,) = routed("http://moved.test:81/p", "-H", "host: moved.test", pod="shop/edge-1")["answers"]
    assert (moved["status"], moved["location"]) == (301, "https://moved.test/p")


def test_a_sidecar_resource_that_hides_the_service_is_named() -> None:
    hidden = "\n---\n{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: shop}, spec: {egress: [{hosts: [~/*]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}"
    found = routed("http://reviews/d", text=ROUTED + hidden)
    assert found["steps"][0]["text"] == "Sidecar shop/s says what this pod knows"
    assert found["outcome"] == "connection reset (BlackHoleCluster)"
    assert found["code"] == 1


def test_a_service_entry_is_followed_and_its_line_named() -> None:
    entry = "\n---\n{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: shop}, spec: {hosts: [api.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}}"
    found = routed("http://api.test/", text=ROUTED + entry)
    assert found["steps"][1]["place"] == f"-:{len(ROUTED.splitlines()) + 3}"
    assert found["outcome"] == "forwarded by outbound|80||api.test"


def test_what_cannot_be_read_is_told_and_the_rest_explained() -> None:
    found = routed("http://reviews/moved", text=f"{ROUTED}\n---\na: [\n---\nmetadata: {{name: x}}\n")
    assert found["answers"][0]["status"] == 308
    first, second = found["errors"].splitlines()
    assert re.fullmatch(r"-:\d+:\d+: .+", first)
    assert second.endswith(":1: a document needs apiVersion and kind")
    assert found["code"] == 2


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text("""
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
""")
    argv = ["explain", "--kubeconfig", str(config), "--from", "shop/a", "--url", "http://reviews"]
    result = CliRunner().invoke(main, argv)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("the cluster cannot be asked: GET http://127.0.0.1:1/")
