"""The mesh's own signing key, borrowed to mint SVIDs that are wrong in one way: obtained, not judged."""

from __future__ import annotations

import base64

import pytest

from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.minting import Authority
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace

PLUGGED_IN = "cacerts"
"""The Secret by which Istio's API lets an operator bring an authority; it goes before the mesh's own."""


def signing_authority(mesh: RunningMesh, namespace: MeshNamespace) -> Authority:
    """Give the authority by which the mesh signs workloads; ends the check where its key is not in a Secret."""
    mesh.needs("root_secret")
    place, own, key = namespace.implementation.root_secret
    there = []
    for name in (PLUGGED_IN, own):
        found = namespace.find("v1", "Secret", name, namespace=place)
        there += [name] if found is not None else []
        files = {file: base64.b64decode(text).decode() for file, text in ((found or {}).get("data") or {}).items()}
        private = [text for text in files.values() if "PRIVATE KEY-----" in text]
        if key in files and private:
            return Authority.read(files[key], private[0])
    named = namespace.implementation.where("identity.root_secret")
    assert there, f"there is neither Secret {place}/{own}, which {named} names, nor {place}/{PLUGGED_IN}: no authority"
    pytest.skip(f"{NOT_APPLICABLE}Secret {place}/{own} holds no private key to mint with")
