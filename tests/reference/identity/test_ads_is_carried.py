"""The configuration stream through the agent: bytes untouched, token fresh, and istiod's absence survived."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mesh_reference import name_table
from mesh_reference.agent import environment
from mesh_reference.agent.ads_proxy import METHODS, SERVICE, AdsProxy
from mesh_reference.agent.upstream import OPTIONS, Upstream
from mesh_reference.ca import authority

BUDGET_SECONDS = 10


class Istiod:
    """A TLS server that answers each message with ``seen:`` before it, or by ``reply``, and notes each stream's metadata."""

    def __init__(self, reply=lambda request: [b"seen:" + request]) -> None:
        self._reply = reply
        self.signer = authority.Authority.create("cluster.local", now=datetime.now(UTC))
        self.metadata: list[dict[str, str]] = []
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self) -> int:
        async def echo(requests, context) -> None:
            self.metadata.append(dict(context.invocation_metadata()))
            async for request in requests:
                for answer in self._reply(request):
                    await context.write(answer)

        chain, key = self.signer.issue_server_certificate(["localhost"])
        self._server = grpc.aio.server(options=OPTIONS)
        handlers = {name: grpc.stream_stream_rpc_method_handler(echo) for name in METHODS}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        credentials = grpc.ssl_server_credentials([(key.encode(), chain.encode())])
        self._port = self._server.add_secure_port(f"127.0.0.1:{self._port}", credentials)
        await self._server.start()
        return self._port

    async def stop(self) -> None:
        await self._server.stop(0)


@contextlib.asynccontextmanager
async def carried(tmp_path, istiod, take_names=None):
    port = await istiod.start()
    (tmp_path / "root.pem").write_text(istiod.signer.root_pem)
    (tmp_path / "token").write_text("first\n")
    paths = environment.Paths(root=tmp_path / "root.pem", token=tmp_path / "token")
    settings = environment.AgentSettings(
        pod_name="p", namespace="n", address="10.0.0.1", xds_address=f"localhost:{port}", paths=paths
    )
    server = grpc.aio.server(options=OPTIONS)
    AdsProxy(Upstream(settings), settings, take_names).register(server)
    server.add_insecure_port(f"unix:{tmp_path}/XDS")
    await server.start()
    try:
        async with (
            asyncio.timeout(BUDGET_SECONDS),
            grpc.aio.insecure_channel(f"unix:{tmp_path}/XDS", options=OPTIONS) as channel,
        ):
            streams = {name: channel.stream_stream(f"/{SERVICE}/{name}") for name in METHODS}
            yield SimpleNamespace(streams=streams, token=tmp_path / "token")
    finally:
        await server.stop(0)
        await istiod.stop()


@pytest.mark.parametrize("method", METHODS)
def test_bytes_go_both_ways_untouched(tmp_path, method):
    async def run() -> None:
        async with carried(tmp_path, Istiod()) as running:
            stream = running.streams[method]()
            for message in (b"\x00\xff not protobuf", b"", b"x" * 5_000_000):
                await stream.write(message)
                assert await stream.read() == b"seen:" + message

    asyncio.run(run())


def test_each_stream_reads_the_token_anew(tmp_path):
    async def run() -> None:
        istiod = Istiod()
        async with carried(tmp_path, istiod) as running:
            for token in ("first", "second"):
                running.token.write_text(token)
                stream = running.streams[METHODS[0]]()
                await stream.write(b"a")
                await stream.read()
                assert istiod.metadata[-1]["authorization"] == f"Bearer {token}"
                assert istiod.metadata[-1]["clusterid"] == "Kubernetes"

    asyncio.run(run())


def test_a_lost_istiod_ends_the_stream_and_the_next_one_waits_for_it(tmp_path):
    async def run() -> None:
        istiod = Istiod()
        async with carried(tmp_path, istiod) as running:
            stream = running.streams[METHODS[1]]()
            await stream.write(b"a")
            await stream.read()
            await istiod.stop()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            following = running.streams[METHODS[1]]()
            await following.write(b"b")
            reading = asyncio.ensure_future(following.read())
            await asyncio.sleep(0)
            assert not reading.done()
            await istiod.start()
            assert await reading == b"seen:b"

    asyncio.run(run())


def test_a_missing_root_is_told_to_envoy_and_the_log(tmp_path, caplog):
    async def run() -> None:
        async with carried(tmp_path, Istiod()) as running:
            (tmp_path / "root.pem").unlink()
            stream = running.streams[METHODS[0]]()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(run())
    assert "root.pem cannot be read" in caplog.text


def test_the_agent_asks_for_names_on_envoys_stream_and_envoy_sees_none_of_it(tmp_path):  # IC19
    seen: list[str] = []
    taken: list[bytes] = []
    acknowledged = asyncio.Event()

    def reply(message: bytes) -> list[bytes]:
        request = discovery_pb2.DeltaDiscoveryRequest.FromString(message)
        seen.append(f"{request.type_url} {request.response_nonce}".strip())
        if request.response_nonce:
            acknowledged.set()
            return []
        answer = discovery_pb2.DeltaDiscoveryResponse(type_url=request.type_url, nonce="n1")
        answer.resources.add().resource.value = b"table" if request.type_url == name_table.TYPE_URL else b"cluster"
        return [answer.SerializeToString()]

    async def run() -> None:
        async with carried(tmp_path, Istiod(reply), taken.append) as running:
            stream = running.streams["DeltaAggregatedResources"]()
            await stream.write(discovery_pb2.DeltaDiscoveryRequest(type_url="clusters").SerializeToString())
            await acknowledged.wait()
            await stream.write(discovery_pb2.DeltaDiscoveryRequest(type_url="listeners").SerializeToString())
            for expected in ("clusters", "listeners"):
                answer = discovery_pb2.DeltaDiscoveryResponse.FromString(await stream.read())
                assert answer.type_url == expected

    asyncio.run(run())
    assert taken == [b"table"]
    assert seen == ["clusters", name_table.TYPE_URL, f"{name_table.TYPE_URL} n1", "listeners"]
