"""What ``istioctl proxy-status`` asks the control plane on a stream of its own, with a token: who is in step, and a dump."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.status.v3 import csds_pb2
from memory_kube import account

sys.path.insert(0, str(Path(__file__).parent))
from ads_client import NODE, Client, ends_with, mesh, play, running

from mesh_reference.xds.resources import CLUSTER, LISTENER
from mesh_reference.xds.status_streams import CONFIG_DUMP, SYNCZ

ISTIOCTL = {"id": "sidecar~10.0.0.1~istioctl.istio-system~istio-system.svc.cluster.local", "metadata": {}}


def told(token: str, type_url: str, names: list[str]) -> Any:
    """The answer to a caller with this token while the proxy tester-1.shop is connected; it has acknowledged its clusters, not its listeners."""

    async def run() -> Any:
        kube = mesh()
        kube.tokens = {
            "operator": account("istio-system", "default", ""),
            "neighbour": account("bank", "default", ""),
            "proxy": account("shop", "tester", "tester-1"),
        }
        async with running(kube) as istiod:
            root = (await kube.get_root()).encode()
            options = [("grpc.ssl_target_name_override", "istiod.istio-system.svc")]
            target = f"127.0.0.1:{istiod.ports.secure}"
            async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(root), options=options) as channel:
                proxy = Client(channel, metadata=(("authorization", "Bearer proxy"),))
                await proxy.ask(CLUSTER, NODE)
                first = await proxy.read()
                await proxy.ask(CLUSTER, response_nonce=first.nonce, version_info=first.version_info)
                await proxy.ask(LISTENER)
                await proxy.read()
                asking = Client(channel, metadata=(("authorization", f"Bearer {token}"),))
                await asking.ask(type_url, ISTIOCTL, resource_names=names)
                answer = await asking.read()
                await asking.ask(type_url, response_nonce=answer.nonce, version_info=answer.version_info)
                assert await asking.nothing()
                return answer

    return asyncio.run(run())


def test_every_proxy_is_told_with_the_state_of_its_types():
    answer = told("operator", SYNCZ, [])
    [resource] = answer.resources
    config = csds_pb2.ClientConfig()
    assert resource.Unpack(config)
    assert config.node.id == "tester-1.shop"
    assert config.node.metadata["NAMESPACE"] == "shop"
    assert [(one.type_url, one.config_status) for one in config.generic_xds_configs] == [
        (CLUSTER, csds_pb2.SYNCED),
        (LISTENER, csds_pb2.STALE),
    ]
    assert json.loads(answer.control_plane.identifier)["Component"] == "istiod"


def test_a_proxy_is_dumped_by_its_name():
    answer = told("operator", CONFIG_DUMP, ["tester-1.shop"])
    resource = answer.resources[0]
    dump = config_dump_shared_pb2.ClustersConfigDump()
    assert resource.Unpack(dump)
    names = set()
    for one in dump.dynamic_active_clusters:
        made = cluster_pb2.Cluster()
        assert one.cluster.Unpack(made)
        names.add(made.name)
    assert "outbound|80||reviews.shop.svc.cluster.local" in names


@pytest.mark.parametrize(("type_url", "names"), [(SYNCZ, []), (CONFIG_DUMP, ["tester-1.shop"])])
def test_a_caller_of_another_namespace_sees_none_of_it(type_url, names):
    assert not told("neighbour", type_url, names).resources


def test_an_unknown_proxy_has_no_dump():
    assert not told("operator", CONFIG_DUMP, ["nobody.shop"]).resources


def test_who_is_not_known_is_told_nothing():
    async def script(_kube: Any, _istiod: Any, channel: grpc.aio.Channel) -> None:
        asking = Client(channel)
        await asking.ask(SYNCZ, ISTIOCTL)
        assert await ends_with(asking) == grpc.StatusCode.UNAUTHENTICATED

    play(script)
