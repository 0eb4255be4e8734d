"""Make the data files of the embedded API server from Kubernetes' own published Go modules.

Run ``python tests/tools/apiserver_data.py`` (needs ``go`` and grpcio-tools). It writes
``resources.json.gz``, ``schemas.json.gz`` and ``protobuf.json.gz`` next to the README that
describes them. It does not run at build or test time: its results are committed.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

KUBERNETES = "1.34.4"
DATA = Path(__file__).parents[2] / "pytest_mesh/clusters/local/apiserver/data"
MODULES = {
    "k8s.io/kubernetes": f"v{KUBERNETES}",
    "k8s.io/api": f"v0{KUBERNETES[1:]}",
    "k8s.io/apimachinery": f"v0{KUBERNETES[1:]}",
}
REF = "#/components/schemas/"

SERVED = {
    "v1": "configmaps endpoints events namespaces nodes pods secrets serviceaccounts services",
    "apps/v1": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "batch/v1": "cronjobs jobs",
    "autoscaling/v2": "horizontalpodautoscalers",
    "policy/v1": "poddisruptionbudgets",
    "networking.k8s.io/v1": "ingressclasses ingresses networkpolicies",
    "discovery.k8s.io/v1": "endpointslices",
    "coordination.k8s.io/v1": "leases",
    "events.k8s.io/v1": "events",
    "rbac.authorization.k8s.io/v1": "clusterrolebindings clusterroles rolebindings roles",
    "authentication.k8s.io/v1": "selfsubjectreviews tokenreviews",
    "authorization.k8s.io/v1": (
        "localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews"
    ),
    "admissionregistration.k8s.io/v1": (
        "mutatingwebhookconfigurations validatingwebhookconfigurations "
        "validatingadmissionpolicies validatingadmissionpolicybindings"
    ),
    "apiextensions.k8s.io/v1": "customresourcedefinitions",
    "scheduling.k8s.io/v1": "priorityclasses",
}
"""Group versions in the order of discovery, and the resources of each that are served."""

SUBRESOURCES = {
    "status", "scale", "finalize", "token", "log", "exec", "attach", "portforward", "proxy", "binding", "eviction",
}  # fmt: skip
EXTRA_TYPES = ("io.k8s.api.autoscaling.v1.Scale", "io.k8s.api.policy.v1.Eviction", "io.k8s.api.core.v1.Binding")
EXTRA_TYPES += ("io.k8s.api.authentication.v1.TokenRequest", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")


def main() -> None:
    """Write the three files and print their sizes."""
    places = {module: fetch(module, version) for module, version in MODULES.items()}
    resources, schemas = read_openapi(places["k8s.io/kubernetes"] / "api")
    mark_vanishing(schemas, places)
    write("resources.json.gz", resources)
    write("schemas.json.gz", schemas)
    write("protobuf.json.gz", read_protobuf(places, schemas))


def fetch(module: str, version: str) -> Path:
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"{module}@{version}"], check=True, capture_output=True, text=True
    )
    return Path(json.loads(answer.stdout)["Dir"])


def write(name: str, document: Any) -> None:
    text = json.dumps(document, separators=(",", ":"), sort_keys=False).encode()
    packed = gzip.compress(text, 9, mtime=0)
    (DATA / name).write_bytes(packed)
    sys.stdout.write(f"{name}: {len(packed)} bytes ({len(text)} unpacked)\n")


# ---------------------------------------------------------------- discovery and schemas


def read_openapi(api: Path) -> tuple[list[Any], dict[str, Any]]:
    resources: list[Any] = []
    schemas: dict[str, Any] = {}
    for group_version, names in SERVED.items():
        path = "api__v1" if group_version == "v1" else "apis__" + group_version.replace("/", "__")
        listed = json.loads((api / f"discovery/{path}.json").read_text())["resources"]
        document = json.loads((api / f"openapi-spec/v3/{path}_openapi.json").read_text())
        definitions = document["components"]["schemas"]
        group, _, version = group_version.rpartition("/")
        for name in names.split():
            entry = next(item for item in listed if item["name"] == name)
            schema = next(
                key
                for key, value in definitions.items()
                if {"group": group, "version": version, "kind": entry["kind"]}
                in value.get("x-kubernetes-group-version-kind", [])
            )
            subresources = {item["name"].partition("/")[2] for item in listed if item["name"].startswith(f"{name}/")}
            resources.append(
                {
                    "group": group,
                    "version": version,
                    "plural": name,
                    "singular": entry["singularName"],
                    "kind": entry["kind"],
                    "namespaced": entry["namespaced"],
                    "shortNames": entry.get("shortNames", []),
                    "categories": entry.get("categories", []),
                    "verbs": entry["verbs"],
                    "subresources": sorted(subresources & SUBRESOURCES),
                    "schema": schema,
                }
            )
            collect(schema, definitions, schemas)
        for name in EXTRA_TYPES:
            if name in definitions:
                collect(name, definitions, schemas)
    return resources, schemas


def mark_vanishing(schemas: dict[str, Any], places: dict[str, Path]) -> None:
    """Mark with ``x-omit`` the scalars whose zero Go does not write: ``omitempty`` and no pointer."""
    packages: dict[str, dict[str, set[str]]] = {}
    for module, path in PACKAGES:
        folder = places[module] / path
        name = f"io.{module.replace('k8s.io/', 'k8s.')}.{path.replace('/', '.')}"
        packages[name] = go_fields(folder, r"[\w.]+", r",omitempty")
    for name, schema in schemas.items():
        package, _, struct = name.rpartition(".")
        for field in packages.get(package, {}).get(struct, ()):
            known = schema.get("properties", {}).get(field)
            if known is not None and known.get("type") in ("string", "integer", "boolean", "number"):
                known["x-omit"] = True
    for name, schema in schemas.items():
        package, _, struct = name.rpartition(".")
        folder = next(
            (
                places[module] / path
                for module, path in PACKAGES
                if name.startswith(f"io.{module.replace('k8s.io/', 'k8s.')}.{path.replace('/', '.')}.")
            ),
            None,
        )
        for field in (
            go_fields(folder, r"(?:metav1\.)?(?:Micro)?Time", r"(?:,omitempty)?\"").get(struct, ()) if folder else ()
        ):
            if field in schema.get("properties", {}):
                schema["properties"][field]["x-null"] = True


def collect(name: str, definitions: dict[str, Any], schemas: dict[str, Any]) -> None:
    if name in schemas:
        return
    schemas[name] = slim(definitions[name], top=True)
    for reference in references(definitions[name]):
        collect(reference, definitions, schemas)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].removeprefix(REF)
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def slim(schema: dict[str, Any], *, top: bool = False) -> dict[str, Any]:
    """Drop descriptions and the ``allOf`` around a reference.

    ``default: {}`` of a field becomes ``x-struct``: a Go struct that is no pointer, so that it is always there.
    """
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "description":
            continue
        if key == "default" and value == {}:
            result["x-struct"] = True
            continue
        if key == "x-kubernetes-group-version-kind":
            # DeleteOptions alone has one for each group; only an object's own is of use.
            if top and len(value) == 1:
                result[key] = value
        elif key == "allOf" and len(value) == 1:
            result["$ref"] = value[0]["$ref"].removeprefix(REF)
        elif key == "$ref":
            result["$ref"] = value.removeprefix(REF)
        elif key == "properties":
            result[key] = {name: slim(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = slim(value)
            result[key].pop("x-struct", None)
            result[key].pop("default", None)
        else:
            result[key] = value
    return result


# ---------------------------------------------------------------- protobuf

PACKAGES = (
    ("k8s.io/api", "core/v1"), ("k8s.io/api", "apps/v1"), ("k8s.io/api", "batch/v1"), ("k8s.io/api", "autoscaling/v2"),
    ("k8s.io/api", "autoscaling/v1"), ("k8s.io/api", "policy/v1"), ("k8s.io/api", "networking/v1"),
    ("k8s.io/api", "discovery/v1"), ("k8s.io/api", "coordination/v1"), ("k8s.io/api", "events/v1"),
    ("k8s.io/api", "rbac/v1"), ("k8s.io/api", "authentication/v1"), ("k8s.io/api", "authorization/v1"),
    ("k8s.io/api", "admissionregistration/v1"), ("k8s.io/api", "scheduling/v1"),
    ("k8s.io/apimachinery", "pkg/apis/meta/v1"),
    ("k8s.io/apimachinery", "pkg/runtime"), ("k8s.io/apimachinery", "pkg/api/resource"),
    ("k8s.io/apimachinery", "pkg/util/intstr"),
)  # fmt: skip
SCALARS = {
    descriptor_pb2.FieldDescriptorProto.TYPE_STRING: "s",
    descriptor_pb2.FieldDescriptorProto.TYPE_BYTES: "y",
    descriptor_pb2.FieldDescriptorProto.TYPE_BOOL: "b",
    descriptor_pb2.FieldDescriptorProto.TYPE_INT32: "i",
    descriptor_pb2.FieldDescriptorProto.TYPE_INT64: "i",
    descriptor_pb2.FieldDescriptorProto.TYPE_UINT32: "i",
    descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE: "d",
}


def read_protobuf(places: dict[str, Path], schemas: dict[str, Any]) -> dict[str, Any]:
    """Give ``{message: {number: [json name, type, flags]}}``.

    ``type`` is a letter for a scalar or a message's name; ``flags`` joins ``r`` (repeated),
    ``m`` (map), ``p`` (a Go pointer: zero is not absence) and ``n`` (inlined into its parent).
    """
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "k8s.io").mkdir()
        for module in ("k8s.io/api", "k8s.io/apimachinery"):
            (root / module).symlink_to(places[module])
        output = root / "all.pb"
        files = [f"{module}/{path}/generated.proto" for module, path in PACKAGES]
        if protoc.main(["protoc", f"-I{root}", f"--descriptor_set_out={output}", "--include_imports", *files]):
            raise SystemExit("protoc failed")
        descriptors = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes())
    messages: dict[str, Any] = {}
    for file in descriptors.file:
        module = "k8s.io/apimachinery" if file.package.startswith("k8s.io.apimachinery") else "k8s.io/api"
        pointers = go_pointers(places[module] / Path(file.name).parent.relative_to(module))
        for message in file.message_type:
            full = f"{file.package}.{message.name}"
            properties = properties_of(full, schemas)
            messages[full] = {
                str(field.number): field_row(field, message, pointers.get(message.name, set()), properties)
                for field in message.field
            }
    return reachable(messages)


def properties_of(message: str, schemas: dict[str, Any]) -> dict[str, Any] | None:
    schema = schemas.get("io." + message.replace("k8s.io.", "k8s."))
    return None if schema is None else schema.get("properties")


def field_row(
    field: descriptor_pb2.FieldDescriptorProto,
    message: descriptor_pb2.DescriptorProto,
    pointers: set[str],
    properties: dict[str, Any] | None,
) -> list[str]:
    flags = ""
    kind = SCALARS.get(field.type, field.type_name.removeprefix("."))
    repeated = field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    entry = next((nested for nested in message.nested_type if kind.endswith(f".{nested.name}")), None)
    if entry is not None:
        value = entry.field[1]
        kind = SCALARS.get(value.type, value.type_name.removeprefix("."))
        flags += "m"
    elif repeated:
        flags += "r"
    if field.name in pointers:
        flags += "p"
    if properties is not None and field.name not in properties and len(kind) > 1 and not flags.strip("p"):
        flags += "n"
    return [field.name, kind, flags]


def go_pointers(package: Path) -> dict[str, set[str]]:
    """Give, for each struct of a package, the JSON names of its pointer fields."""
    return go_fields(package, r"\*\S+", "")


def go_fields(package: Path, kind: str, options: str) -> dict[str, set[str]]:
    """Give, for each struct of a package, the JSON names of its fields of a Go type with these JSON options."""
    result: dict[str, set[str]] = {}
    for source in package.glob("*types*.go"):
        for struct in re.finditer(r"^type (\w+) struct \{(.*?)^\}", source.read_text(), re.MULTILINE | re.DOTALL):
            found = re.findall(rf'^\s+\w+\s+{kind}\s+`json:"(\w+){options}', struct[2], re.MULTILINE)
            result.setdefault(struct[1], set()).update(found)
    return result


def reachable(messages: dict[str, Any]) -> dict[str, Any]:
    """Keep what an object of a served kind, or the options of a request, can hold."""
    kept: dict[str, Any] = {}
    pending = [
        name for name, fields in messages.items() if any(row[1].endswith("ObjectMeta") for row in fields.values())
    ]
    pending += [f"k8s.io.apimachinery.pkg.apis.meta.v1.{name}" for name in ("DeleteOptions", "List")]
    pending.append("k8s.io.apimachinery.pkg.runtime.Unknown")
    while pending:
        name = pending.pop()
        if name in kept:
            continue
        kept[name] = messages[name]
        pending += [row[1] for row in messages[name].values() if len(row[1]) > 1]
    return dict(sorted(kept.items()))


if __name__ == "__main__":
    main()
