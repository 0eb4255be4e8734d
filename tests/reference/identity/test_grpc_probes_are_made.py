"""A gRPC health check that was moved to the agent: made from the address that capture lets through."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc
import pytest

from mesh_reference.agent import environment
from mesh_reference.agent.health import Health
from mesh_reference.agent.http_exchange import Answer, Incoming

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


def probed(reply: bytes | None, service: str = "") -> tuple[Answer, list[tuple[str, bytes]]]:
    """What the agent answers the kubelet, and the sources and requests that the application saw; no reply: nobody there."""
    seen: list[tuple[str, bytes]] = []

    async def check(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        seen.append((context.peer(), request))
        return reply or b""

    async def main() -> Answer:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(check)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        if reply is None:
            await server.stop(None)
        probe = {"/app-health/app/livez": {"grpc": {"port": port, "service": service}, "timeoutSeconds": 2}}
        settings = environment.read(
            {
                "POD_NAME": "app",
                "POD_NAMESPACE": "shop",
                "INSTANCE_IP": "127.0.0.1",
                "ISTIO_KUBE_APP_PROBERS": json.dumps(probe),
            }
        )
        nothing: Any = None
        health = Health(settings, certificate_trouble=str, name_trouble=str, drain=nothing, quit_now=nothing)
        try:
            return await health.answer(Incoming(method="GET", path="/app-health/app/livez", headers={}, local=False))
        finally:
            await server.stop(None)

    return asyncio.run(main()), seen


def test_a_serving_application_is_alive_and_was_asked_from_the_uncaptured_address():  # IM12
    answer, seen = probed(SERVING, service="shop")
    assert answer.status == 200
    [(peer, request)] = seen
    assert peer.startswith("ipv4:127.0.0.6:")
    assert request == b"\x0a\x04shop"


@pytest.mark.parametrize("reply", [NOT_SERVING, None])
def test_one_that_does_not_serve_or_is_not_there_is_not_alive(reply):  # IM12
    assert probed(reply)[0].status == 500


def test_a_long_service_name_is_a_well_formed_question():
    assert probed(SERVING, service="s" * 200)[1][0][1] == b"\x0a\xc8\x01" + b"s" * 200
