"""Every rule of Galley: a document that breaks only it, with field path and rule id, and a twin that passes.

The cases lie beside this file, one YAML file for each kind; those that are long by nature are made here.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

import mesh_reference.validation
from mesh_reference import documents
from mesh_reference.validation import galley
from mesh_reference.validation.findings import Finding

Json = dict[str, Any]

TO: Json = {"destination": {"host": "reviews"}}
BASES: dict[str, Json] = {
    "http": {"hosts": ["reviews"], "http": [{"route": [TO]}]},
    "delegate": {"http": [{"route": [TO]}]},
    "tls": {"hosts": ["reviews"], "tls": [{"match": [{"port": 443, "sniHosts": ["reviews"]}], "route": [TO]}]},
    "tcp": {"hosts": ["reviews"], "tcp": [{"match": [{"port": 9000}], "route": [TO]}]},
    "rule": {"host": "reviews", "trafficPolicy": {"loadBalancer": {}, "outlierDetection": {}}},
    "entry": {
        "hosts": ["api.example.com"],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
    },
    "dynamic": {
        "hosts": ["*.example.com"],
        "location": "MESH_EXTERNAL",
        "resolution": "DYNAMIC_DNS",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
    },
    "static": {
        "hosts": ["api.example.com"],
        "resolution": "STATIC",
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "endpoints": [{"address": "10.0.0.1"}],
    },
    "workload": {"address": "10.0.0.1"},
    "sidecar": {
        "ingress": [
            {"port": {"number": 8080, "protocol": "HTTP", "name": "http"}, "defaultEndpoint": "127.0.0.1:8080"}
        ],
        "egress": [{"hosts": ["./*"]}],
    },
    "terminating": {
        "ingress": [
            {
                "port": {"number": 8443, "protocol": "HTTPS", "name": "https"},
                "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"},
            }
        ],
        "egress": [{"hosts": ["./*"]}],
    },
    "gateway": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*.example.com"]}]},
    "secured": {
        "servers": [
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["*.example.com"],
                "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"},
            }
        ]
    },
    "authz": {"rules": [{"from": [{"source": {"principals": ["a"]}}], "to": [{"operation": {"ports": ["80"]}}]}]},
    "custom": {"action": "CUSTOM", "provider": {"name": "x"}, "rules": [{}]},
    "jwt": {"jwtRules": [{"issuer": "https://issuer.example.com"}]},
    "peers": {"selector": {"matchLabels": {"app": "reviews"}}, "mtls": {"mode": "STRICT"}},
}
KINDS = {
    "virtual_service": ("VirtualService", "networking.istio.io/v1"),
    "destination_rule": ("DestinationRule", "networking.istio.io/v1"),
    "service_entry": ("ServiceEntry", "networking.istio.io/v1"),
    "workload_entry": ("WorkloadEntry", "networking.istio.io/v1"),
    "sidecar": ("Sidecar", "networking.istio.io/v1"),
    "gateway": ("Gateway", "networking.istio.io/v1"),
    "authorization_policy": ("AuthorizationPolicy", "security.istio.io/v1"),
    "request_authentication": ("RequestAuthentication", "security.istio.io/v1"),
    "peer_authentication": ("PeerAuthentication", "security.istio.io/v1"),
}
WEIGHTY = {**TO, "weight": 2**31 - 1}
LONG: list[Json] = [
    {"rule": "V2", "field": "hosts[0]", "bad": "a." + "b" * 64, "good": "a." + "b" * 63, "says": "invalid (label"},
    {
        "rule": "V2",
        "field": "hosts[0]",
        "bad": ".".join(["a" * 60] * 5),
        "good": ".".join(["a" * 60] * 4),
        "says": "too long (max 255)",
    },
    {
        "rule": "V22b",
        "field": "http[0].match",
        "bad": [{"uri": {"regex": "a" * 1025}}],
        "good": [{"uri": {"regex": "a" * 1024}}],
        "at": "http[0].match[0].uri.regex",
        "says": "max length allowed is 1024",
    },
    {
        "rule": "V25a",
        "field": "http[0]",
        "bad": {"directResponse": {"status": 200, "body": {"string": "x" * (2**20 + 1)}}},
        "good": {"directResponse": {"status": 200, "body": {"string": "x" * 100}}},
        "at": "http[0].directResponse.body",
        "says": "must be less than 1MB",
    },
    {
        "rule": "V25b",
        "field": "http[0]",
        "bad": {"directResponse": {"status": 200, "body": {"bytes": "eHh4" * 40_000}}},
        "good": {"directResponse": {"status": 200, "body": {"bytes": "eHh4" * 30_000}}},
        "at": "http[0].directResponse.body",
        "severity": "warning",
        "says": "may impact control plane performance",
    },
]


def cases() -> list[Any]:
    """(kind, case), named after rule and field."""
    found = [("virtual_service", {"base": "http", **case}) for case in LONG]
    for kind in KINDS:
        path = Path(__file__).parent / f"{kind}.cases.yaml"
        found += [(kind, case) for case in documents.load_all(path.read_text(encoding="utf-8"), path.name)[0].value]
    return [pytest.param(kind, case, id=f"{case['rule']}-{kind}-{case['field']}") for kind, case in found]


ALL = cases()


def document(kind: str, spec: Json) -> Json:
    name, api = KINDS[kind]
    metadata = {"name": "x", "namespace": "shop"}
    return {"apiVersion": api, "kind": name, "metadata": metadata, "spec": spec}


def judged(kind: str, case: Json, which: str) -> list[Finding]:
    """What the rules say; that a kind is only stored is said of every document of it."""
    found = document(kind, changed(case, which))
    found["metadata"] |= case.get("metadata", {}) if which == "bad" else {}
    return [finding for finding in galley.validate(found) if finding.rule != galley.INACTIVE]


def changed(case: Json, which: str) -> Json:
    """The case's base with its value at its field, or without the field; maps on the way are made."""
    base = case["base"]
    result = copy.deepcopy(BASES[base] if isinstance(base, str) else base)
    place: Any = result
    steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", case["field"])]
    for step in steps[:-1]:
        place = place.setdefault(step, {}) if isinstance(step, str) else place[step]
    if which in case:
        place[steps[-1]] = case[which]
    else:
        place.pop(steps[-1], None)
    return result


@pytest.mark.parametrize(("kind", "case"), ALL)
def test_a_rule_speaks_at_its_field_and_only_about_the_value_that_breaks_it(kind: str, case: Json) -> None:
    assert [found.text for found in judged(kind, case, "good")] == []
    bad = judged(kind, case, "bad")
    spoken = [found for found in bad if found.rule == case["rule"]]
    assert spoken, [found.text for found in bad]
    place = case.get("at") or case["field"]
    whole = place == "spec" or place.startswith("metadata")
    assert spoken[0].text.startswith(f"{place}: " if whole else f"spec.{place}: ")
    assert spoken[0].severity == case.get("severity", "error")
    assert case["says"] in spoken[0].message


def test_every_rule_of_the_code_has_a_case_here() -> None:
    folder = Path(mesh_reference.validation.__file__).parent
    written = {
        rule
        for path in folder.glob("*.py")
        for rule in re.findall(r'"(V\d+[a-z]*|IST\d{4}|labels|subnet)"', path.read_text(encoding="utf-8"))
    }
    assert len(written) > 100
    assert written - {param.values[1]["rule"] for param in ALL} == set()
