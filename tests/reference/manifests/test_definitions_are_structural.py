"""``refmesh crds``: structural schemas that take the seed's documents, with every version served and one stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from mesh_reference import documents
from mesh_reference.cli import main
from mesh_reference.model import crds
from mesh_reference.model.schema.kinds import KINDS

Json = dict[str, Any]
SEED = """
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {x-version: {exact: v2}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v2}, weight: 20}
"""


def printed() -> list[Json]:
    result = CliRunner().invoke(main, ["crds", "-o", "json"])
    assert result.exit_code == 0
    items: list[Json] = json.loads(result.stdout)["items"]
    return items


def schemas() -> Iterator[tuple[str, Json]]:
    for item in crds.definitions():
        for version in item["spec"]["versions"]:
            yield f"{item['metadata']['name']}/{version['name']}", version["schema"]["openAPIV3Schema"]


def subschemas(schema: Json) -> Iterator[Json]:
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from subschemas(inner)
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from subschemas(schema[name])


def test_yaml_and_json_say_the_same() -> None:
    result = CliRunner().invoke(main, ["crds"])
    assert [item.value for item in documents.load_all(result.stdout)] == printed() == crds.definitions()


@pytest.mark.parametrize(
    ("kind", "name", "versions", "short"),
    [
        ("VirtualService", "virtualservices.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "vs"),
        ("DestinationRule", "destinationrules.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "dr"),
        ("PeerAuthentication", "peerauthentications.security.istio.io", ["v1", "v1beta1"], "pa"),
        ("ServiceEntry", "serviceentries.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "se"),
        ("WorkloadEntry", "workloadentries.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "we"),
        ("Sidecar", "sidecars.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], ""),
        ("Gateway", "gateways.networking.istio.io", ["v1", "v1beta1", "v1alpha3"], "gw"),
        ("AuthorizationPolicy", "authorizationpolicies.security.istio.io", ["v1", "v1beta1"], "ap"),
        ("RequestAuthentication", "requestauthentications.security.istio.io", ["v1", "v1beta1"], "ra"),
    ],
)
def test_every_version_is_served_and_v1_is_stored(kind: str, name: str, versions: list[str], short: str) -> None:
    (item,) = [item for item in printed() if item["spec"]["names"]["kind"] == kind]
    assert item["metadata"]["name"] == name
    assert item["spec"]["scope"] == "Namespaced"
    assert item["spec"]["names"].get("shortNames", []) == ([short] if short else [])
    assert [version["name"] for version in item["spec"]["versions"] if version["served"]] == versions
    assert [version["name"] for version in item["spec"]["versions"] if version["storage"]] == ["v1"]
    assert all(version["subresources"] == {"status": {}} for version in item["spec"]["versions"])


@pytest.mark.parametrize(("name", "schema"), list(schemas()), ids=lambda item: item if isinstance(item, str) else "")
def test_a_schema_is_structural(name: str, schema: Json) -> None:
    for part in subschemas(schema):
        assert part["type"] in {"object", "array", "string", "boolean", "number", "integer"}
        assert not ("properties" in part and "additionalProperties" in part)
        assert ("items" in part) == (part["type"] == "array")
        for group in [part.get("oneOf", []), *(inner["oneOf"] for inner in part.get("allOf", []))]:
            for choice in group:
                required = choice.get("required") or [
                    field for inner in choice["not"]["anyOf"] for field in inner["required"]
                ]
                assert set(required) <= part["properties"].keys()
                assert not {"type", "properties", "items"} & choice.keys()


def test_the_seeds_document_fits_the_schema_of_every_version() -> None:
    spec = documents.load_all(SEED)[0].value["spec"]
    for version in crds.definition(KINDS[0])["spec"]["versions"]:
        assert list(unknown(spec, version["schema"]["openAPIV3Schema"]["properties"]["spec"])) == []


def unknown(value: Any, schema: Json, path: str = "spec") -> Iterator[str]:
    """Fields that the schema would prune, and values of another type."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    if not isinstance(value, types[schema["type"]]):
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if inner is None:
                yield f"{path}.{name}"
            else:
                yield from unknown(item, inner, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown(item, schema["items"], f"{path}[{index}]")


def test_columns_show_what_kubectl_shows_for_istio() -> None:
    columns = {
        item["spec"]["names"]["kind"]: [
            (column["name"], column["jsonPath"]) for column in item["spec"]["versions"][0]["additionalPrinterColumns"]
        ]
        for item in printed()
    }
    age = ("Age", ".metadata.creationTimestamp")
    assert columns == {
        "VirtualService": [("Gateways", ".spec.gateways"), ("Hosts", ".spec.hosts"), age],
        "DestinationRule": [("Host", ".spec.host"), age],
        "PeerAuthentication": [("Mode", ".spec.mtls.mode"), age],
        "ServiceEntry": [
            ("Hosts", ".spec.hosts"),
            ("Location", ".spec.location"),
            ("Resolution", ".spec.resolution"),
            age,
        ],
        "WorkloadEntry": [("Address", ".spec.address"), age],
        "Sidecar": [age],
        "Gateway": [age],
        "AuthorizationPolicy": [("Action", ".spec.action"), age],
        "RequestAuthentication": [age],
    }
