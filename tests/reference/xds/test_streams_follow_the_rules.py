"""ADS rule by rule, over real gRPC but without Envoy: nonces, ACK and NACK, subscriptions, identities."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import pytest
from ads_client import ALL, NODE, TESTER, Client, mesh, play, running
from aiohttp import ClientSession
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from memory_kube import MemoryKube, account, destination_rule, endpoint_slice, service, virtual_service

from mesh_reference.app import Istiod
from mesh_reference.xds import status
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST


def test_an_ack_gets_no_answer_and_a_change_comes_with_a_new_nonce() -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(ROUTE, NODE, resource_names=["80"])
        first = await client.read()
        await client.ask(ROUTE, resource_names=["80"], version_info=first.version_info, response_nonce=first.nonce)
        kube.put(virtual_service("a", ["reviews"], [{"directResponse": {"status": 418}}]))
        second = await client.read()
        assert second.nonce != first.nonce
        assert second.version_info != first.version_info
        # An answer to the older response is no answer to the newer one.
        await client.ask(ROUTE, resource_names=["80", "81"], response_nonce=first.nonce)
        await client.ask(ROUTE, resource_names=["80", "82"], response_nonce=second.nonce)
        third = await client.read()
        assert [made.type_url for made in third.resources] == [ROUTE]
        assert istiod.hub is not None
        assert status.syncz(istiod.hub)[0]["route_acked"] == second.nonce

    play(script)


@pytest.mark.parametrize("stale", ["an older response's", "of another stream"])
def test_a_replayed_nonce_is_told_in_the_log_and_ignored_and_the_next_good_request_answered(
    caplog: pytest.LogCaptureFixture, stale: str
) -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(ROUTE, NODE, resource_names=["80"])
        first = await client.read()
        await client.ask(ROUTE, resource_names=["80"], response_nonce=first.nonce)
        kube.put(virtual_service("a", ["reviews"], [{"directResponse": {"status": 418}}]))
        second = await client.read()
        await client.ask(ROUTE, resource_names=["80"], response_nonce=second.nonce)
        nonce = first.nonce if stale == "an older response's" else "of-another-stream.1"
        await client.ask(ROUTE, resource_names=["81"], response_nonce=nonce)
        await client.ask(ROUTE, resource_names=["81"], response_nonce=nonce, error_detail={"code": 3, "message": "no"})
        async with asyncio.timeout(1):
            await client.ask(ROUTE, resource_names=["80", "82"], response_nonce=second.nonce)
            answer = await client.read()
        assert answer.nonce not in {first.nonce, second.nonce}
        assert istiod.hub is not None
        (entry,) = status.syncz(istiod.hub)
        assert (entry["route_acked"], entry["rejections"]) == (second.nonce, {})
        told = [line for line in caplog.messages if "not outstanding" in line]
        assert [repr(nonce) in line and NODE["id"].split("~")[2] in line for line in told] == [True, True]

    with caplog.at_level(logging.WARNING, logger="mesh_reference.xds.session"):
        play(script)


def test_a_replayed_refusal_of_the_delta_protocol_refuses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)
        first = await client.read()
        await client.ask(CLUSTER, response_nonce=first.nonce)
        kube.put(service("late", "10.96.0.8"))
        second = await client.read()
        await client.ask(CLUSTER, response_nonce=second.nonce)
        await client.ask(CLUSTER, response_nonce=first.nonce, error_detail={"code": 3, "message": "no"})
        async with asyncio.timeout(1):
            await client.ask(ENDPOINT, resource_names_subscribe=[ALL])
            assert [made.name for made in (await client.read()).resources] == [ALL]
        assert istiod.hub is not None
        (entry,) = status.syncz(istiod.hub)
        assert (entry["cluster_acked"], entry["rejections"]) == (second.nonce, {})
        assert sum("not outstanding" in line for line in caplog.messages) == 1

    with caplog.at_level(logging.WARNING, logger="mesh_reference.xds.session"):
        play(script)


def test_a_response_that_a_newer_one_has_overtaken_may_be_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)
        first = await client.read()
        kube.put(service("late", "10.96.0.8"))
        second = await client.read()
        for nonce in (first.nonce, second.nonce):
            await client.ask(CLUSTER, response_nonce=nonce)
        await client.ask(ENDPOINT, resource_names_subscribe=[ALL])
        await client.read()
        assert [line for line in caplog.messages if "not outstanding" in line] == []

    with caplog.at_level(logging.WARNING, logger="mesh_reference.xds.session"):
        play(script)


def test_a_nack_is_not_answered_and_stays_until_a_later_version_is_taken() -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        assert istiod.hub is not None
        client = Client(channel)
        await client.ask(CLUSTER, NODE)
        first = await client.read()
        await client.ask(CLUSTER, response_nonce=first.nonce, error_detail={"code": 3, "message": "no such thing"})
        kube.put(service("late", "10.96.0.8"))
        second = await client.read()
        assert second.nonce != first.nonce
        (entry,) = status.syncz(istiod.hub)
        assert entry["rejections"] == {"cds": {"version": first.version_info, "message": "no such thing"}}
        assert not entry["synced"]
        await client.ask(CLUSTER, response_nonce=second.nonce, version_info=second.version_info)
        await client.ask(ROUTE, resource_names=["80"])
        await client.read()
        assert status.syncz(istiod.hub)[0]["rejections"] == {}

    play(script)


def test_a_change_that_does_not_concern_the_proxy_sends_nothing() -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(CLUSTER, NODE)
        await client.read()
        hidden = destination_rule("r", "reviews.shop.svc.cluster.local", {"v1": {}}, namespace="x", exportTo=["."])
        kube.put(hidden)
        assert await client.nothing()

    play(script)


def test_delta_tells_what_changed_and_what_is_gone() -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)
        first = await client.read()
        assert ALL in {made.name for made in first.resources}
        kube.put(service("late", "10.96.0.8"))
        second = await client.read()
        late = "outbound|80||late.shop.svc.cluster.local"
        assert [made.name for made in second.resources] == [late]
        kube.remove("Service", "late", "shop")
        third = await client.read()
        assert (list(third.resources), list(third.removed_resources)) == ([], [late])

    play(script)


def test_after_a_reconnect_delta_sends_only_what_the_proxy_lacks() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(CLUSTER, NODE)
        held = {made.name: made.version for made in (await client.read()).resources}
        again = Client(channel, delta=True)
        await again.ask(CLUSTER, NODE, initial_resource_versions={**held, ALL: "old", "gone": "1"})
        answer = await again.read()
        assert [made.name for made in answer.resources] == [ALL]
        assert list(answer.removed_resources) == ["gone"]

    play(script)


def test_after_a_reconnect_endpoints_come_again_for_clusters_that_were_warming() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(ENDPOINT, NODE, resource_names_subscribe=[ALL])
        held = {made.name: made.version for made in (await client.read()).resources}
        again = Client(channel, delta=True)
        await again.ask(ENDPOINT, NODE, resource_names_subscribe=[ALL], initial_resource_versions=held)
        assert [made.name for made in (await again.read()).resources] == [ALL]

    play(script)


def test_delta_subscribes_and_unsubscribes_by_name() -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(ENDPOINT, NODE, resource_names_subscribe=[ALL])
        first = await client.read()
        assert [made.name for made in first.resources] == [ALL]
        await client.ask(ENDPOINT, resource_names_unsubscribe=[ALL], response_nonce=first.nonce)
        await client.ask(ROUTE, resource_names_subscribe=["80"])
        assert (await client.read()).type_url == ROUTE
        kube.put(endpoint_slice("reviews", ["10.244.0.1", "10.244.0.9"]))
        assert await client.nothing()

    play(script)


@pytest.mark.parametrize("asks", [True, False])
def test_routes_wait_for_the_endpoints_of_new_clusters(*, asks: bool) -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(CLUSTER, NODE)
        await client.read()
        await client.ask(ENDPOINT, resource_names=[ALL])
        endpoints = await client.read()
        await client.ask(ROUTE, resource_names=["80"])
        await client.read()
        kube.put(destination_rule("r", "reviews", {"v1": {"version": "v1"}}))
        target = {"destination": {"host": "reviews", "subset": "v1"}}
        kube.put(virtual_service("a", ["reviews"], [{"route": [target]}]))
        assert (await client.read()).type_url == CLUSTER
        if not asks:
            assert await client.nothing()
            return
        await client.ask(ENDPOINT, resource_names=[ALL, ALL.replace("||", "|v1|")], response_nonce=endpoints.nonce)
        seen = [(await client.read()).type_url]
        while seen[-1] == ENDPOINT:
            seen.append((await client.read()).type_url)
        assert (seen[0], seen[-1]) == (ENDPOINT, ROUTE)

    play(script)


def test_a_node_that_is_no_sidecar_is_refused_with_a_reason() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(CLUSTER, {"id": "nonsense"})
        with pytest.raises(grpc.aio.AioRpcError, match="nonsense") as caught:
            await client.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    play(script)


@pytest.mark.parametrize(
    ("token", "claims", "code", "told"),
    [
        ("good", TESTER, None, ""),
        (
            "good",
            {**TESTER, "NAMESPACE": "bank"},
            grpc.StatusCode.PERMISSION_DENIED,
            "the caller is shop/tester, the node claims bank/tester",
        ),
        (
            "good",
            {**TESTER, "SERVICE_ACCOUNT": "admin"},
            grpc.StatusCode.PERMISSION_DENIED,
            "the caller is shop/tester, the node claims shop/admin",
        ),
        (
            "other pod",
            TESTER,
            grpc.StatusCode.PERMISSION_DENIED,
            "the caller is pod tester-2 of shop/tester, the node claims tester-1.shop",
        ),
        ("wrong", TESTER, grpc.StatusCode.UNAUTHENTICATED, "the token is not valid"),
    ],
)
def test_on_the_tls_port_a_token_speaks_for_its_own_proxy_only(
    caplog: pytest.LogCaptureFixture, token: str, claims: dict[str, str], code: grpc.StatusCode | None, told: str
) -> None:
    async def run() -> None:
        kube = mesh()
        kube.tokens = {
            "good": account("shop", "tester", "tester-1"),
            "other pod": account("shop", "tester", "tester-2"),
        }
        async with running(kube) as istiod:
            root = (await kube.get_root()).encode()
            options = [("grpc.ssl_target_name_override", "istiod.istio-system.svc")]
            target = f"127.0.0.1:{istiod.ports.secure}"
            async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(root), options=options) as channel:
                client = Client(channel, metadata=(("authorization", f"Bearer {token}"),))
                failure = None
                try:
                    await client.ask(CLUSTER, {**NODE, "metadata": claims})
                    answer = await client.read()
                    if answer is grpc.aio.EOF:
                        failure = await client.call.code()
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # A write into a refused stream fails in its own way; the stream knows why it was refused.
                    failure = await client.call.code()
                assert failure == code
                async with asyncio.timeout(1):
                    again = Client(channel, metadata=(("authorization", "Bearer good"),))
                    await again.ask(CLUSTER, {**NODE, "metadata": TESTER})
                    assert (await again.read()).type_url == CLUSTER

    with caplog.at_level(logging.WARNING, logger="mesh_reference.xds.server"):
        asyncio.run(run())
    refused = [line for line in caplog.messages if line.startswith("refused ipv4:127.0.0.1")]
    assert len(refused) == bool(code)
    assert all(told in line for line in refused)


def test_the_pages_tell_who_is_connected_and_what_is_not_served() -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel)
        await client.ask(CLUSTER, NODE)
        await client.read()
        kube.put(virtual_service("bad", ["reviews"], [{"name": "no action"}]))
        await asyncio.sleep(0)
        async with ClientSession(f"http://127.0.0.1:{istiod.ports.http}") as http:

            async def page(path: str) -> Any:
                async with http.get(path) as answer:
                    return answer.status, await (answer.json() if path.startswith("/debug/") else answer.text())

            assert await page("/ready") == (200, "ready\n")
            assert (await page("/debug/syncz"))[1][0]["proxy"] == "tester-1.shop"
            (problem,) = (await page("/debug/push_status"))[1]["problems"]
            assert problem["object"] == "VirtualService shop/bad"
            assert [item["hostname"] for item in (await page("/debug/registryz"))[1]] == [
                "reviews.shop.svc.cluster.local"
            ]
            assert (await page("/debug/endpointz"))[1][0]["endpoints"][0]["address"] == "10.244.0.1"
            assert [item["kind"] for item in (await page("/debug/configz"))[1]] == ["VirtualService"]
            assert (await page("/debug/config_dump?proxyID=tester-1.shop"))[1]["configs"]
        async with ClientSession(f"http://127.0.0.1:{istiod.ports.monitoring}") as http:
            async with http.get("/metrics") as answer:
                assert "pilot_xds_pushes_total" in await answer.text()
            async with http.get("/version") as answer:
                assert (await answer.json())["revision"] == "default"

    play(script)


def test_a_host_that_is_refused_is_found_among_many_and_the_others_are_served() -> None:
    async def script(kube: MemoryKube, istiod: Istiod, channel: grpc.aio.Channel) -> None:
        assert istiod.hub is not None
        for number in range(6):
            kube.put(service(f"s{number}", f"10.96.1.{number}"))
        async with asyncio.timeout(5):
            while len(istiod.hub.configuration.snapshot.services) < 7:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.005)
        client = Client(channel, delta=True)
        await client.ask(ROUTE, NODE, resource_names_subscribe=["80"])
        await client.ask(ROUTE, response_nonce=(await client.read()).nonce)
        await client.ask(VIRTUAL_HOST)
        taken: set[str] = set()
        isolated = False
        bad = "80/s3.shop.svc.cluster.local:80"
        for _response in range(2 * 8):
            answer = await client.read()
            names = {made.name for made in answer.resources}
            if bad in names:
                await client.ask(VIRTUAL_HOST, response_nonce=answer.nonce, error_detail={"code": 3, "message": "no"})
            else:
                taken |= names
                await client.ask(VIRTUAL_HOST, response_nonce=answer.nonce)
            isolated |= names == {bad}
            if len(taken) == 7 and isolated:  # with reviews and the catch-all
                break
        assert len(taken) == 7
        assert isolated
        assert await client.nothing()
        assert status.syncz(istiod.hub)[0]["rejections"]["vhds"]["message"] == "no"

    play(script)


def test_further_route_configurations_bring_their_hosts_unasked_and_removed_hosts_become_tombstones() -> None:
    async def script(kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        client = Client(channel, delta=True)
        await client.ask(ROUTE, NODE, resource_names_subscribe=["80"])
        (routes,) = (await client.read()).resources
        assert RouteConfiguration.FromString(routes.resource.value).HasField("vhds")
        await client.ask(VIRTUAL_HOST)
        assert [made.name for made in (await client.read()).resources] == [
            "80/reviews.shop.svc.cluster.local:80", "80/allow_any",
        ]  # fmt: skip
        await client.ask(ROUTE, resource_names_subscribe=["81"])
        assert [made.name for made in (await client.read()).resources] == ["81"]
        assert [made.name for made in (await client.read()).resources] == ["81/allow_any"]
        kube.remove("Service", "reviews", "shop")
        (gone,) = (await client.read()).resources
        host = VirtualHost.FromString(gone.resource.value)
        assert (gone.name, host.name) == ("80/reviews.shop.svc.cluster.local:80", "reviews.shop.svc.cluster.local:80")
        assert list(host.domains) == ["reviews.shop.svc.cluster.local.80.removed.invalid"]

    play(script)


def test_a_client_that_says_what_it_holds_gets_only_the_rest() -> None:
    async def script(_kube: MemoryKube, _istiod: Istiod, channel: grpc.aio.Channel) -> None:
        first = Client(channel, delta=True)
        await first.ask(CLUSTER, NODE)
        held = {made.name: made.version for made in (await first.read()).resources}
        again = Client(channel, delta=True)
        known = {name: version for name, version in held.items() if name != ALL} | {"outbound|80||gone": "1"}
        await again.ask(CLUSTER, NODE, initial_resource_versions=known)
        answer = await again.read()
        assert [made.name for made in answer.resources] == [ALL]
        assert list(answer.removed_resources) == ["outbound|80||gone"]

    play(script)
