"""A mesh that is there already is looked for, and what could not be removed again is not installed."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import installer, removal


class Somewhere:
    name = "somewhere"
    backend = "local"
    kubeconfig = "kubeconfig"

    def add_images(self, images, progress):
        pass


def test_what_could_not_be_removed_is_not_installed():
    acme = Implementation(name="acme", install=(("acmectl", "install"),), source="acme.toml", lines={"install": 3})
    with pytest.raises(Infrastructure, match=r"install\.remove must say how to undo .* \(acme.toml:3\)"):
        removal.require_removable(acme)
    removal.require_removable(dataclasses.replace(acme, remove=(("acmectl", "remove"),)))


def test_a_refusal_of_the_api_server_while_installing_is_the_environments(kube):
    kube.denied = ("/api/v1/namespaces",)
    with pytest.raises(Infrastructure, match=r"neither be installed nor looked at: .*403"):
        installer.install(Somewhere(), kube, Implementation(name="acme", source="acme.toml"), print)


def test_a_mesh_that_is_there_already_is_not_installed(kube):
    acme = Implementation(name="acme", already_there=True, namespace="acme-system", source="acme.toml")

    with pytest.raises(Infrastructure, match="there is no namespace 'acme-system'"):
        installer.install(Somewhere(), kube, acme, print)
    with pytest.raises(Infrastructure, match=r"there is nothing to install: install.already_there \(acme.toml\)"):
        removal.require_removable(acme)
