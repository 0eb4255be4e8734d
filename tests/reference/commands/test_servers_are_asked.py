"""``refmesh explain`` on the server's side: which PeerAuthentication and which AuthorizationPolicy decided, and by which line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mesh_reference.cli import main

MESH = """
apiVersion: v1
kind: Pod
metadata: {name: tester, namespace: shop, labels: {app: tester}}
spec: {serviceAccountName: tester, containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: shop, labels: {app: stranger, sidecar.istio.io/inject: "false"}}
spec: {containers: [{name: a, image: a}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: shop}
spec: {selector: {app: stranger}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v1, namespace: shop}
spec:
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec: {containers: [{name: a, image: a}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-v2, namespace: shop}
spec:
  template:
    metadata: {labels: {app: reviews, version: v2}}
    spec: {containers: [{name: a, image: a}]}
---
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec:
  mtls:
    mode: STRICT
"""
BY_PORT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: by-port, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  mtls: {mode: PERMISSIVE}
  portLevelMtls:
    8080:
      mode: STRICT
"""
PLAINTEXT = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plaintext, namespace: shop}
spec:
  host: reviews
  trafficPolicy: {tls: {mode: DISABLE}}
"""
POLICIES = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-posts, namespace: shop}
spec:
  action: DENY
  rules:
  - to: [{operation: {methods: [POST]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: who, namespace: shop}
spec:
  rules:
  - from: [{source: {principals: [cluster.local/ns/bank/sa/x]}}]
  - from: [{source: {principals: [cluster.local/ns/shop/sa/tester]}}]
    to: [{operation: {paths: [/allowed*]}}]
"""
OF_V2 = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: v2-is-closed, namespace: shop}
spec:
  selector: {matchLabels: {version: v2}}
"""


def explained(tmp_path: Path, extra: str, url: str = "http://reviews/allowed", *arguments: str) -> tuple[Any, int]:
    (tmp_path / "mesh.yaml").write_text(MESH + extra)
    done = CliRunner().invoke(
        main,
        ["explain", "-f", str(tmp_path / "mesh.yaml"), "--from", "shop/tester", "--url", url, *arguments, "-o", "json"],
    )
    return json.loads(done.stdout), done.exit_code


def steps(found: Any, name: str) -> list[tuple[str, str]]:
    """(text, the written line) of the steps of that name."""
    out = []
    for step in found["steps"]:
        if step["step"] == name:
            path, _, number = step["place"].rpartition(":")
            line = Path(path).read_text().splitlines()[int(number) - 1].strip() if path else ""
            out.append((step["text"], line))
    return out


def test_without_a_policy_the_default_is_told_with_the_identity_of_the_client(tmp_path):
    found, code = explained(tmp_path, "")
    text = "PERMISSIVE, the default: mutual TLS as spiffe://cluster.local/ns/shop/sa/tester"
    assert steps(found, "authentication") == [(text, "")]
    assert steps(found, "authorization") == []
    assert (found["outcome"], code) == ("forwarded", 0)


def test_the_line_of_the_policy_that_sets_the_mode_is_named(tmp_path):
    found, code = explained(tmp_path, STRICT)
    [(text, line)] = steps(found, "authentication")
    assert text.startswith("STRICT, by PeerAuthentication shop/strict: mutual TLS as ")
    assert line == "mode: STRICT"
    assert code == 0


@pytest.mark.parametrize(("policy", "name"), [(STRICT, "strict"), (BY_PORT, "by-port")])
def test_plaintext_is_not_taken_where_mutual_tls_is_asked_for(tmp_path, policy, name):
    found, code = explained(tmp_path, policy + PLAINTEXT)
    [(text, line)] = steps(found, "authentication")
    assert (
        text == f"STRICT, by PeerAuthentication shop/{name}: plaintext is not taken: the server closes the connection"
    )
    assert line == "mode: STRICT"
    assert [(answer["status"], answer["flag"]) for answer in found["answers"]] == [(503, "UC")]
    assert code == 1


def test_the_rule_that_allows_is_named_with_those_that_did_not_match(tmp_path):
    found, code = explained(tmp_path, POLICIES)
    assert steps(found, "authorization") == [
        ("no DENY rule matches", ""),
        (
            "allowed by AuthorizationPolicy shop/who rules[1]",
            "- from: [{source: {principals: [cluster.local/ns/shop/sa/tester]}}]",
        ),
    ]
    assert [step["passedOver"] for step in found["steps"] if step["step"] == "authorization"] == [
        ["AuthorizationPolicy shop/no-posts rules[0]: its operation does not match"],
        ["AuthorizationPolicy shop/who rules[0]: its source does not match"],
    ]
    assert code == 0


def test_the_rule_that_denies_is_named(tmp_path):
    found, code = explained(tmp_path, POLICIES, "http://reviews/allowed", "-X", "POST")
    assert steps(found, "authorization") == [
        ("denied by AuthorizationPolicy shop/no-posts rules[0]", "- to: [{operation: {methods: [POST]}}]")
    ]
    assert [(answer["status"], answer["flag"]) for answer in found["answers"]] == [(403, "RBAC")]
    assert found["outcome"] == "403, refused by the server's AuthorizationPolicy"
    assert code == 1


def test_where_no_rule_allows_the_policies_are_named(tmp_path):
    found, code = explained(tmp_path, POLICIES, "http://reviews/other")
    assert steps(found, "authorization")[1][0] == "denied: no rule of the ALLOW policies matches (shop/who)"
    assert code == 1


def test_without_mutual_tls_no_principal_matches(tmp_path):
    found, _code = explained(tmp_path, POLICIES + PLAINTEXT)
    assert steps(found, "authentication")[0][0] == "PERMISSIVE, the default: plaintext"
    assert [answer["flag"] for answer in found["answers"]] == ["RBAC"]


def test_the_path_is_judged_as_the_client_rewrites_it(tmp_path):
    rewrite = """
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http: [{match: [{uri: {prefix: /other}}], rewrite: {uri: /allowed}, route: [{destination: {host: reviews}}]}]
"""
    found, code = explained(tmp_path, POLICIES + rewrite, "http://reviews/other")
    assert steps(found, "authorization")[-1][0].startswith("allowed by")
    assert code == 0


def test_pods_that_disagree_take_their_shares(tmp_path):
    found, code = explained(tmp_path, OF_V2)
    assert sorted((answer["share"], answer.get("flag", "")) for answer in found["answers"]) == [
        (0.5, ""),
        (0.5, "RBAC"),
    ]
    assert "1 of 2 endpoints: 403, refused by the server's AuthorizationPolicy" in found["outcome"]
    assert "1 of 2 endpoints: denied: no rule of the ALLOW policies matches (shop/v2-is-closed)" in [
        text for text, _line in steps(found, "authorization")
    ]
    assert code == 0


def test_a_pod_without_a_sidecar_asks_nothing(tmp_path):
    found, code = explained(tmp_path, STRICT + "---" + POLICIES, "http://plain/")
    assert steps(found, "authentication") == steps(found, "authorization") == []
    assert (found["outcome"], code) == ("forwarded", 0)


GATEWAY = """
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: shop, labels: {istio: edge}}
spec: {containers: [{name: istio-proxy, image: a}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: shop}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{route: [{destination: {host: reviews}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: edge, namespace: shop}
spec:
  selector: {matchLabels: {istio: edge}}
  rules:
  - from: [{source: {ipBlocks: [10.0.0.0/8]}}]
    to: [{operation: {paths: [/in*]}}]
"""


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("/in", "whether AuthorizationPolicy shop/edge rules[0] matches depends on the caller's address", 0),
        ("/out", "denied: no rule of the ALLOW policies matches (shop/edge)", 1),
    ],
)
def test_a_gateways_own_policies_are_asked_first(tmp_path, path, text, code):
    (tmp_path / "mesh.yaml").write_text(MESH + GATEWAY)
    arguments = [
        "explain",
        "-f",
        str(tmp_path / "mesh.yaml"),
        "--from",
        "shop/edge",
        "--url",
        f"http://shop.example{path}",
    ]
    done = CliRunner().invoke(main, [*arguments, "-o", "json"])
    assert steps(json.loads(done.stdout), "authorization")[0][0] == text
    assert done.exit_code == code
