"""What an operator chooses about identity: aliases of the trust domain, and node proxies that may ask for others."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "xds"))

import pytest
from memory_kube import MemoryKube

from mesh_reference import app, mesh_config
from mesh_reference.errors import MeshError
from mesh_reference.settings import Settings


def test_aliases_follow_the_trust_domain_and_never_repeat_it():
    config = mesh_config.parse_mesh_config("trustDomain: new\ntrustDomainAliases: [old, new, older, old]\n")

    assert mesh_config.settings_with(Settings(), config).trust_domains == ("new", "old", "older")


def test_without_aliases_there_is_one_trust_domain():
    assert Settings().trust_domains == ("cluster.local",)


def test_nobody_may_ask_for_others_unless_the_operator_names_them():
    assert app.trusted_node_accounts({}) == ()
    named = {"CA_TRUSTED_NODE_ACCOUNTS": "istio-system/ztunnel, kube-system/node-proxy,"}
    assert app.trusted_node_accounts(named) == ("istio-system/ztunnel", "kube-system/node-proxy")


@pytest.mark.parametrize("text", ["ztunnel", "a/b/c", "/b", "a/"])
def test_an_account_that_is_none_stops_the_start(text):
    with pytest.raises(MeshError, match="is not namespace/name"):
        app.trusted_node_accounts({"CA_TRUSTED_NODE_ACCOUNTS": text})


def test_a_mesh_config_that_is_deleted_stays_as_it_was_and_that_is_told(caplog):
    async def run() -> app.Istiod:
        kube = MemoryKube({
            "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": "enableAutoMtls: false\n"},
        })  # fmt: skip
        istiod = app.Istiod(kube=kube, settings=Settings())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            following = group.create_task(istiod._follow_mesh_config(Settings()))
            while istiod.settings.auto_mtls:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.001)
            kube.remove("ConfigMap", "istio", "istio-system")
            while "is gone" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            following.cancel()
        return istiod

    assert not asyncio.run(run()).settings.auto_mtls
    assert "ConfigMap istio-system/istio is gone: the mesh config stays as it was" in caplog.text
