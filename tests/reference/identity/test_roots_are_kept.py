"""The root's Secret and its ConfigMaps, against an in-memory API with watches."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from mesh_reference.ca import authority, roots
from mesh_reference.ca.authority import Identity
from mesh_reference.ca.csr import CsrError
from mesh_reference.discovery import read_selectors
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS


def namespace(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


@contextlib.asynccontextmanager
async def distributing(store, settings, signer):
    task = asyncio.create_task(roots.distribute(store, settings, signer))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def holders(store) -> set[str]:
    return {namespace for namespace, _name in store.objects[CONFIG_MAPS]}


def test_the_first_start_makes_the_secret_and_the_second_reads_it(settings, new_store):
    async def run() -> None:
        store = new_store()
        first = await roots.load_or_create(store, settings)
        secret = store.objects[SECRETS]["istio-system", "istio-ca-secret"]
        assert secret["type"] == "istio.io/ca-root"
        assert set(secret["data"]) == {"ca-cert.pem", "ca-key.pem"}
        assert (await roots.load_or_create(store, settings)).root_pem == first.root_pem
        assert store.writes == 1

    asyncio.run(run())


def test_two_starts_at_once_agree_on_one_root(settings, signer, new_store):
    async def run() -> None:
        store = new_store()
        rival = new_store()
        theirs = await roots.load_or_create(rival, settings)
        store.before_create = lambda: store.objects.update({SECRETS: rival.objects[SECRETS]})
        ours = await roots.load_or_create(store, settings)
        assert ours.root_pem == theirs.root_pem

    asyncio.run(run())


def test_an_unusable_secret_is_an_error_that_names_it(settings, new_store):
    async def run() -> None:
        store = new_store()
        await roots.load_or_create(store, settings)
        del store.objects[SECRETS]["istio-system", "istio-ca-secret"]["data"]["ca-key.pem"]
        with pytest.raises(authority.SignerError, match="istio-system/istio-ca-secret"):
            await roots.load_or_create(store, settings)

    asyncio.run(run())


def test_every_namespace_but_three_gets_the_root(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        for name in ("default", "kube-system", "kube-public", "kube-node-lease", "local-path-storage"):
            store.put(NAMESPACES, namespace(name))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"default", "kube-system"})
            store.put(NAMESPACES, namespace("shop"))
            await until(lambda: "shop" in holders(store))
        found = store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"]
        assert found["data"] == {"root-cert.pem": signer.root_pem}
        assert found["metadata"]["labels"] == {"istio.io/config": "true"}

    asyncio.run(run())


def test_a_deleted_config_map_comes_back(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
            store.drop(CONFIG_MAPS, "shop", "istio-ca-root-cert")
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())


@pytest.mark.parametrize("damage", [{"data": {"root-cert.pem": "forged"}}, {"data": {}}, {"metadata": {"labels": {}}}])
def test_an_edited_config_map_is_put_right_and_keeps_foreign_labels(settings, signer, damage, new_store, until):
    async def run() -> None:
        store = new_store()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
            right = copy.deepcopy(store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"])
            right["metadata"]["labels"]["team"] = "a"
            edited = copy.deepcopy(right)
            edited["data"] = damage.get("data", edited["data"])
            if "metadata" in damage:
                edited["metadata"]["labels"] = {"team": "a"}
            store.put(CONFIG_MAPS, edited)
            await until(lambda: store.objects[CONFIG_MAPS]["shop", "istio-ca-root-cert"] == right)

    asyncio.run(run())


def test_a_right_config_map_is_left_alone(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})
        writes = store.writes
        async with distributing(store, settings, signer):
            store.put(NAMESPACES, namespace("later"))
            await until(lambda: "later" in holders(store))
        assert store.writes == writes + 1

    asyncio.run(run())


def test_a_failing_api_server_is_tried_again(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        store.put(NAMESPACES, namespace("shop"))
        store.failures = 2
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())


def test_a_leaving_namespace_gets_nothing(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        leaving = {"metadata": {"name": "leaving", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        store.put(NAMESPACES, leaving)
        store.put(NAMESPACES, namespace("shop"))
        async with distributing(store, settings, signer):
            await until(lambda: holders(store) == {"shop"})

    asyncio.run(run())


def test_only_selected_namespaces_get_the_root(settings, signer, new_store, until):
    async def run() -> None:
        store = new_store()
        selective = replace(settings, discovery_selectors=read_selectors([{"matchLabels": {"side": "a"}}]))
        store.put(NAMESPACES, namespace("others"))
        store.put(NAMESPACES, {"metadata": {"name": "ours", "labels": {"side": "a"}}})
        async with distributing(store, selective, signer):
            await until(lambda: holders(store) == {"ours"})

    asyncio.run(run())


def test_the_operators_choices_reach_every_kind_of_authority(settings, new_store, make_ca, make_csr):
    chosen = replace(settings, default_workload_ttl=60.0, max_workload_ttl=120.0, ed25519=True)
    now = datetime.now(UTC)
    workload = Identity(trust_domain="cluster.local", namespace="shop", service_account="reviews")
    csr = make_csr(ed25519.Ed25519PrivateKey.generate())
    plugged = make_ca("operator's", now=now)
    pem = plugged.certificate.public_bytes(serialization.Encoding.PEM)
    files = {"ca-cert.pem": pem, "cert-chain.pem": pem, "root-cert.pem": pem, "ca-key.pem": key_pem(plugged.key)}
    cacerts = {"data": {name: base64.b64encode(text).decode() for name, text in files.items()}}

    async def run() -> None:
        store = new_store()
        made = await roots.load_or_create(store, chosen)
        kept = await roots.load_or_create(store, chosen)
        store.put(SECRETS, {"metadata": {"name": roots.PLUGGED_IN, "namespace": "istio-system"}, **cacerts})
        brought = await roots.load_or_create(store, chosen)
        for one in (made, kept, brought, SimpleNamespace(current=made.current.renewed(now))):
            leaf = one.current.issue(csr, workload, ttl=timedelta(), now=now)
            assert leaf.not_valid_after_utc - now.replace(microsecond=0) == timedelta(seconds=60)
            with pytest.raises(CsrError, match="longer than the maximum"):
                one.current.issue(csr, workload, ttl=timedelta(seconds=121), now=now)

    asyncio.run(run())


def key_pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
