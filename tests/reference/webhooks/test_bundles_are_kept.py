"""The CA bundle in the webhook configurations: set at once, put back after changes, nothing else touched."""

# ruff: noqa: ARG002  the fake has the client's signatures

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mesh_reference import manifests
from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube.resources import Resource
from mesh_reference.kube.watching import Event
from mesh_reference.settings import Settings
from mesh_reference.webhooks import bundles

Json = dict[str, Any]
PEM = b"-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"
BUNDLE = base64.b64encode(PEM).decode()


class Cluster:
    """An API server's part: holds configurations, hands out their changes, fails as it is told."""

    def __init__(self, *objects: Json) -> None:
        self.objects = {item["metadata"]["name"]: copy.deepcopy(item) for item in objects}
        self.failures: list[Exception] = []
        self.writes: list[Json] = []
        self.changed = asyncio.Condition()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        if name not in self.objects:
            raise NotFound(f"{resource.kind} {name}")
        return copy.deepcopy(self.objects[name])

    async def replace(self, resource: Resource, obj: Json) -> Json:
        if self.failures:
            raise self.failures.pop(0)
        await self.put(obj)
        self.writes.append(obj)
        return obj

    async def put(self, obj: Json) -> None:
        async with self.changed:
            self.objects[obj["metadata"]["name"]] = copy.deepcopy(obj)
            self.changed.notify_all()

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Event]:
        name = field_selector.removeprefix("metadata.name=")
        seen: list[Json] = []
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda: name in self.objects and seen[-1:] != [self.objects[name]])
                seen.append(copy.deepcopy(self.objects[name]))
            yield Event(kind="upsert", object=copy.deepcopy(seen[-1]))

    def bundles(self) -> set[str]:
        return {
            webhook["clientConfig"].get("caBundle", "")
            for item in self.objects.values()
            for webhook in item["webhooks"]
        }


def configurations() -> tuple[Json, Json]:
    installation = manifests.Installation()
    return manifests.injector(installation), manifests.validator(installation)


async def until_right(cluster: Cluster) -> None:
    async with asyncio.timeout(10), cluster.changed:
        await cluster.changed.wait_for(lambda: cluster.bundles() == {BUNDLE})


def watched(cluster_of: Any, use: Any) -> Any:
    async def main() -> Any:
        cluster = cluster_of()
        keeper = asyncio.create_task(bundles.maintain(cluster, Settings(), PEM))
        try:
            return await use(cluster)
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    return asyncio.run(main())


def test_the_bundle_is_set_in_every_webhook_of_both_configurations_and_nothing_else_changes() -> None:
    before = configurations()

    async def use(cluster: Cluster) -> Cluster:
        await until_right(cluster)
        return cluster

    cluster = watched(lambda: Cluster(*before), use)
    for item in before:
        after = cluster.objects[item["metadata"]["name"]]
        for webhook in after["webhooks"]:
            del webhook["clientConfig"]["caBundle"]
        assert after == item


def test_a_bundle_that_somebody_overwrites_is_put_back() -> None:
    async def use(cluster: Cluster) -> None:
        await until_right(cluster)
        await cluster.put(configurations()[0])
        await until_right(cluster)

    watched(lambda: Cluster(*configurations()), use)


@pytest.mark.parametrize("failure", [Conflict("stale"), ApiFailure("down")])
def test_a_write_that_fails_is_made_again(failure: Exception) -> None:
    def cluster_of() -> Cluster:
        cluster = Cluster(*configurations())
        cluster.failures = [failure]
        return cluster

    watched(cluster_of, until_right)


def test_a_bundle_that_is_right_is_not_written_again() -> None:
    async def use(cluster: Cluster) -> list[Json]:
        await until_right(cluster)
        right = copy.deepcopy(cluster.objects["istio-sidecar-injector"])
        right["metadata"]["labels"]["touched"] = "yes"
        await cluster.put(right)
        validator = configurations()[1]
        await cluster.put(validator)
        await until_right(cluster)
        return cluster.writes

    writes = watched(lambda: Cluster(*configurations()), use)
    assert [item["kind"] for item in writes].count("MutatingWebhookConfiguration") == 1


@pytest.mark.parametrize(
    ("revision", "injector", "validator"),
    [
        ("default", "istio-sidecar-injector", "istio-validator-istio-system"),
        ("canary", "istio-sidecar-injector-canary", "istio-validator-canary-istio-system"),
    ],
)
def test_the_names_are_istios(revision: str, injector: str, validator: str) -> None:
    settings = Settings(revision=revision)
    assert (bundles.injector_name(settings), bundles.validator_name(settings)) == (injector, validator)


def test_a_webhook_that_calls_a_url_keeps_its_own_trust() -> None:
    given = {"webhooks": [{"clientConfig": {"url": "https://x", "caBundle": "own"}}, {"clientConfig": {"service": {}}}]}
    first, second = bundles.with_bundle(given, BUNDLE)["webhooks"]
    assert first["clientConfig"]["caBundle"] == "own"
    assert second["clientConfig"]["caBundle"] == BUNDLE
