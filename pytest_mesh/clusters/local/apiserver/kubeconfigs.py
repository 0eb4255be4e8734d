"""Kubeconfig files of the embedded cluster. It does not choose who is allowed what: every holder is an administrator."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import pki

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mesh.contracts import Json

CONTEXT = "pytest-mesh"


def document(*, server: str, ca_pem: bytes, token: str) -> Json:
    """Give a kubeconfig for ``server`` (an https URL) that authenticates by ``token``."""
    authority = base64.b64encode(ca_pem).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
        "preferences": {},
    }


def write(path: Path, *, server: str, ca_pem: bytes, token: str) -> None:
    """Write a kubeconfig, mode 0600. It is JSON, which every reader of YAML reads."""
    content = json.dumps(document(server=server, ca_pem=ca_pem, token=token), indent=2)
    pki.write_private(path, content.encode("ascii") + b"\n")
