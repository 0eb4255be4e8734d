"""The Secret by which pods pull the harness's images: read from the cluster or from a file, for each namespace of a run."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Final

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError

NAME: Final = "pytest-mesh-pull"
_TYPE: Final = "kubernetes.io/dockerconfigjson"
_KEY: Final = ".dockerconfigjson"


def read(kube: Kube, given: str) -> Json:
    """Give the Secret to put into a namespace; ``given`` is a file or ``NAMESPACE/NAME``. Raises ``Infrastructure``."""
    path = Path(given).expanduser()
    data = _from_file(path) if path.is_file() else _from_cluster(kube, given)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "type": _TYPE, "data": {_KEY: data}}


def _from_file(path: Path) -> str:
    try:
        text = path.read_text()
        known = json.loads(text).get("auths")
    except (OSError, ValueError, AttributeError) as error:
        raise Infrastructure(f"--mesh-image-pull-secret: {path}: {error}") from error
    if not known:
        raise Infrastructure(
            f"--mesh-image-pull-secret: {path} holds no credentials (auths): docker login keeps them elsewhere where "
            "a credential helper is set"
        )
    return base64.b64encode(text.encode()).decode()


def _from_cluster(kube: Kube, given: str) -> str:
    namespace, separator, name = given.partition("/")
    if not (separator and namespace and name) or "/" in name:
        raise Infrastructure(f"--mesh-image-pull-secret: no file {given}, and no NAMESPACE/NAME of a Secret")
    try:
        found = kube.find(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    except KubeError as error:
        raise Infrastructure(
            f"--mesh-image-pull-secret: {error.message}; `pytest-mesh rbac --pull-secret={given}` prints the right"
        ) from error
    if found is None:
        raise Infrastructure(f"--mesh-image-pull-secret: there is no Secret {given}")
    if found.get("type") != _TYPE:
        raise Infrastructure(f"--mesh-image-pull-secret: Secret {given} is of type {found.get('type')}, not {_TYPE}")
    return str(found["data"][_KEY])
