"""A Kubernetes API of plain data, for what only looks, makes and deletes; and packages that offer implementations."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

from pytest_mesh.kube import KubeError, Resource

KINDS = {
    "Namespace": Resource(prefix="/api/v1", plural="namespaces", namespaced=False),
    "ConfigMap": Resource(prefix="/api/v1", plural="configmaps", namespaced=True),
    "Deployment": Resource(prefix="/apis/apps/v1", plural="deployments", namespaced=True),
    "CustomResourceDefinition": Resource(
        prefix="/apis/apiextensions.k8s.io/v1", plural="customresourcedefinitions", namespaced=False
    ),
}


class PlainKube:
    """Objects by path. ``inject`` changes what a Pod that is created comes back as; ``denied`` are beginnings of paths."""

    tenancy = None

    def __init__(self) -> None:
        self.objects = {}
        self.denied = ()
        self.deleted = []
        self.inject = lambda pod: pod
        self.comes_into_namespaces = {}

    def put(self, path, **body):
        self.objects[path] = {"metadata": {"name": path.rpartition("/")[2]}, **body}

    def find(self, path):
        self._check(path)
        return copy.deepcopy(self.objects.get(path))

    def get(self, path):
        found = self.find(path)
        if found is None:
            raise KubeError(404, "NotFound", f"{path} not found", path)
        return found

    def list(self, path, **_):
        self._check(path)
        return [one for key, one in self.objects.items() if key.rpartition("/")[0] == path]

    def logs(self, *_, **__):
        return "oh no\n"

    def create(self, path, body, **_):
        self._check(path)
        if path.endswith("/pods"):
            return self.inject(copy.deepcopy(body))
        self.objects[f"{path}/{body['metadata']['name']}"] = body
        if path == "/api/v1/namespaces":
            for name, data in self.comes_into_namespaces.items():
                self.put(f"{path}/{body['metadata']['name']}/configmaps/{name}", data=data)
        return body

    def apply(self, document, **_):
        resource = KINDS[document["kind"]]
        metadata = document["metadata"]
        self.objects[resource.path(metadata.get("namespace", ""), metadata["name"])] = document
        return document

    def delete(self, path, **_):
        self._check(path)
        self.deleted.append(path)
        for key in [key for key in self.objects if key == path or key.startswith(f"{path}/")]:
            del self.objects[key]

    def request(self, method, path, **_):
        assert method == "DELETE"
        self.delete(path)

    def resource(self, _version, kind):
        if kind not in KINDS:
            raise KubeError(404, "NotFound", f"no {kind}", "discovery")
        return KINDS[kind]

    def _check(self, path):
        if any(path.startswith(one) for one in self.denied):
            raise KubeError(403, "Forbidden", "may not", path)


@pytest.fixture
def kube() -> PlainKube:
    return PlainKube()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes a distribution on sys.path: its entry points, and files of its package."""

    def make(name: str, points: dict[str, str], files: dict[str, str], version: str = "1.0") -> Path:
        place = tmp_path / name
        info = place / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "".join(f"{point} = {value}\n" for point, value in points.items())
        (info / "entry_points.txt").write_text(f"[pytest_mesh.implementations]\n{lines}")
        for path, text in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text)
        monkeypatch.syspath_prepend(str(place))
        return place

    before = set(sys.modules)
    yield make
    for one in set(sys.modules) - before:
        if one.split(".")[0] in {"acme_pkg", "other_pkg", "broken_pkg"}:
            del sys.modules[one]
