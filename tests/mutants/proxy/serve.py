"""The mutating proxy: ``serve.py MUTANT NAMESPACE/SECRET HOST PORT:TARGET,...``; ends TLS, changes what the mutant changes.

gRPC (xDS, CSR) on 15012 and webhooks on 443 are read; every other port is relayed as bytes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import changes
import grpc
from aiohttp import ClientSession, TCPConnector, web
from authority import Authority, names_of
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2
from manifests import READY_PORT, XDS_PORT
from signing import answer_of, parsed, without_duration

logger = logging.getLogger("mesh-mutants")

WEBHOOK_PORT = 443
CSR = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_SERVER = "https://kubernetes.default.svc"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
_WAIT_SECONDS = 0.2


def read_authority(secret: str) -> Authority:
    """Read the CA's Secret; raises OSError while it is not there."""
    namespace, _, name = secret.partition("/")
    request = urllib.request.Request(
        f"{_SERVER}/api/v1/namespaces/{namespace}/secrets/{name}",
        headers={"authorization": f"Bearer {(_ACCOUNT / 'token').read_text()}"},
    )
    context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=context, timeout=5) as answer:
        data = json.load(answer).get("data") or {}
    if not {"ca-cert.pem", "ca-key.pem"} <= data.keys():  # it may be made first and filled afterwards
        raise OSError(f"Secret {secret} has no ca-cert.pem and ca-key.pem, only {', '.join(data) or 'nothing'}")
    return Authority(base64.b64decode(data["ca-cert.pem"]), base64.b64decode(data["ca-key.pem"]))


class Grpc(grpc.GenericRpcHandler):
    """Forwards every method, and changes what the mutant changes."""

    def __init__(self, mutant: str, authority: Authority, channel: grpc.aio.Channel) -> None:
        self._mutant = mutant
        self._authority = authority
        self._channel = channel

    def service(self, details: Any) -> Any:
        """Give the handler of whatever is called."""
        method = details.method

        async def forward(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
            seen: list[bytes] = []

            async def sent() -> AsyncIterator[bytes]:
                async for request in requests:
                    seen.append(request) if method == CSR else None
                    yield self._request(method, request)

            metadata = tuple((key, value) for key, value in context.invocation_metadata() or () if key != "user-agent")
            call = self._channel.stream_stream(method)(sent(), metadata=metadata)
            try:
                async for answer in call:
                    await context.write(self._answer(method, answer, seen))
            except grpc.aio.AioRpcError as error:
                if method == CSR and self._mutant == "px-refusals-signed" and seen:
                    name = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/default/sa/default")
                    await context.write(answer_of(self._authority.leaf(parsed(seen[0]).public_key(), [name])))
                    return
                await context.abort(error.code(), error.details() or "", error.trailing_metadata() or ())

        return grpc.stream_stream_rpc_method_handler(forward)

    def _request(self, method: str, request: bytes) -> bytes:
        if method == CSR and self._mutant == "px-lifetime-not-asked-for":
            return without_duration(request)
        return request

    def _answer(self, method: str, answer: bytes, seen: list[bytes]) -> bytes:
        if method == CSR and self._mutant == "px-names-honoured":
            csr = parsed(seen[0])
            found = [one.value for one in csr.extensions if isinstance(one.value, x509.SubjectAlternativeName)]
            return answer_of(self._authority.leaf(csr.public_key(), list(found[0]))) if found else answer
        if not method.startswith(ADS):
            return answer
        if "Delta" in method:
            delta = discovery_pb2.DeltaDiscoveryResponse.FromString(answer)
            for resource in delta.resources:
                changes.changed(self._mutant, resource.resource)
            return delta.SerializeToString()
        whole = discovery_pb2.DiscoveryResponse.FromString(answer)
        for one in whole.resources:
            changes.changed(self._mutant, one)
        return whole.SerializeToString()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Carry bytes both ways until one side ends."""
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


def webhook(mutant: str, host: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Give the handler that asks the real webhook and changes its answer."""

    async def answer(request: web.Request) -> web.Response:
        async with (
            ClientSession(connector=TCPConnector(ssl=False)) as session,
            session.request(
                request.method,
                f"https://{host}:{WEBHOOK_PORT}{request.path_qs}",
                data=await request.read(),
                headers={"content-type": request.headers.get("content-type", "application/json")},
            ) as told,
        ):
            body = await told.read()
            status = told.status
        if status == 200 and body.startswith(b"{"):
            body = json.dumps(changes.admission(mutant, request.path, json.loads(body))).encode()
        return web.Response(status=status, body=body, content_type="application/json")

    return answer


async def patiently(read: Callable[[], Any], what: str) -> Any:
    """Call what cannot be had yet until it can."""
    while True:
        try:
            return await asyncio.to_thread(read)
        except OSError as error:
            logger.info("waiting for %s: %s", what, error)
            await asyncio.sleep(_WAIT_SECONDS)


async def serve(mutant: str, secret: str, host: str, ports: dict[int, int]) -> None:
    """Serve until the process ends."""
    authority = await patiently(lambda: read_authority(secret), f"Secret {secret}")
    real = await patiently(lambda: ssl.get_server_certificate((host, XDS_PORT), timeout=5), "the control plane")
    names = names_of(real.encode())
    chain, key = authority.server(names)
    target = next(one.value for one in names if isinstance(one, x509.DNSName))
    channel = grpc.aio.secure_channel(
        f"{host}:{XDS_PORT}",
        grpc.ssl_channel_credentials(authority.pem),
        options=(*_OPTIONS, ("grpc.ssl_target_name_override", target)),
    )
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((Grpc(mutant, authority, channel),))
    server.add_secure_port(f"0.0.0.0:{ports.pop(XDS_PORT)}", grpc.ssl_server_credentials([(key, chain)]))
    await server.start()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as both:
        both.write(chain + key)
        both.flush()
        context.load_cert_chain(both.name)
    pages = web.Application(client_max_size=2**24)
    pages.router.add_route("*", "/{path:.*}", webhook(mutant, host))
    runner = web.AppRunner(pages)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", ports.pop(WEBHOOK_PORT), ssl_context=context).start()
    for port, own in ports.items():
        await asyncio.start_server(
            lambda reader, writer, port=port: relay(reader, writer, host, port),  # type: ignore[misc]
            "0.0.0.0",
            own,
        )
    ready = web.Application()
    ready.router.add_get("/ready", lambda _: _ready())
    health = web.AppRunner(ready)
    await health.setup()
    await web.TCPSite(health, "0.0.0.0", READY_PORT).start()
    logger.info("serving as %s before %s, mutant %s", target, host, mutant)
    await server.wait_for_termination()


async def _ready() -> web.Response:
    return web.Response(text="ready\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    mutant, secret, host, listed = sys.argv[1:]
    asyncio.run(serve(mutant, secret, host, {int(a): int(b) for a, b in (one.split(":") for one in listed.split(","))}))
