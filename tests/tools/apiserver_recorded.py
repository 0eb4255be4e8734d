"""Make the data files of the embedded API server that only a running kube-apiserver knows.

Run ``python tests/tools/apiserver_recorded.py`` with MESH_KUBE_APISERVER and MESH_ETCD set. It writes ``roles.json.gz``
(the roles and bindings that every cluster begins with), ``columns.json.gz`` (the columns of each kind's Table) and
``descriptions.json.gz`` (what the schemas of ``schemas.json.gz`` and their fields say of themselves, and their enums).
It does not run at build or test time: its results are committed.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "local/differential"))

import real_server
import requests

DATA = Path(__file__).parents[2] / "pytest_mesh/clusters/local/apiserver/data"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def main() -> None:
    """Write the files and print their sizes."""
    schemas = json.loads(gzip.decompress((DATA / "schemas.json.gz").read_bytes()))
    rows = json.loads(gzip.decompress((DATA / "resources.json.gz").read_bytes()))
    with tempfile.TemporaryDirectory() as folder, real_server.kube_apiserver(Path(folder)) as (url, token):
        session = requests.Session()
        session.trust_env = False
        session.verify = False
        session.headers["Authorization"] = f"Bearer {token}"

        def ask(path: str, accept: str = "application/json") -> Any:
            return session.get(url + path, headers={"Accept": accept}, timeout=30).json()

        kinds = {
            "clusterroles": "ClusterRole",
            "clusterrolebindings": "ClusterRoleBinding",
            "roles": "Role",
            "rolebindings": "RoleBinding",
        }
        roles = [
            slim({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, **item})
            for plural, kind in kinds.items()
            for item in ask(f"{RBAC}/{plural}")["items"]
        ]
        columns = {}
        for row in rows:
            if "list" in row["verbs"]:
                group = f"/apis/{row['group']}" if row["group"] else "/api"
                answer = ask(f"{group}/{row['version']}/{row['plural']}", TABLE)
                columns[f"{row['plural']}.{row['group']}".rstrip(".")] = answer["columnDefinitions"]
        described: dict[str, Any] = {}
        for path in ask("/openapi/v3")["paths"]:
            for name, schema in ask(f"/openapi/v3/{path}").get("components", {}).get("schemas", {}).items():
                if name in schemas:
                    described[name] = [schema.get("description", ""), fields(schema)]
    write("descriptions.json.gz", dict(sorted(described.items())))
    write("roles.json.gz", roles)
    write("columns.json.gz", columns)


def fields(schema: dict[str, Any]) -> dict[str, list[Any]]:
    """Give each field's description, and its enum or that of its items where it has one."""
    found = {}
    for name, inner in schema.get("properties", {}).items():
        enum = inner.get("enum") or []
        of_items = (inner.get("items") or {}).get("enum") or []
        found[name] = [inner.get("description", ""), enum, of_items]
        while found[name] and not found[name][-1]:
            found[name].pop()
    return {name: row for name, row in found.items() if row}


def slim(role: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the server says about an object itself."""
    kept = ("name", "namespace", "labels", "annotations")
    return {**role, "metadata": {name: value for name, value in role["metadata"].items() if name in kept}}


def write(name: str, document: Any) -> None:
    text = json.dumps(document, separators=(",", ":")).encode()
    packed = gzip.compress(text, 9, mtime=0)
    (DATA / name).write_bytes(packed)
    sys.stdout.write(f"{name}: {len(packed)} bytes ({len(text)} unpacked)\n")


if __name__ == "__main__":
    main()
