"""The DNS server on the node's address: keeps the zone from the API and answers by UDP and TCP.

Makes the Service ``kube-system/kube-dns`` and its Endpoints, so that pods reach it at its usual address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from typing import TYPE_CHECKING

from dnslib import RCODE, DNSError, DNSRecord

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers.cache import Informer
from pytest_mesh.clusters.local.dns import answers
from pytest_mesh.clusters.local.dns.datagrams import Server
from pytest_mesh.clusters.local.dns.forwarding import RESOLV_CONF, Forwarder, nameservers
from pytest_mesh.clusters.local.dns.zone import Zone, records_of

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

DOMAIN = "cluster.local"
SERVICE_ADDRESS = "10.96.0.10"
PORT = 53
_SERVICE_NAME = "kubernetes.io/service-name"
_MALFORMED = (DNSError, ValueError, LookupError, struct.error)
"""What dnslib raises for bytes that are no message."""


async def run(client: ApiClient, address: str, *, port: int = PORT, domain: str = DOMAIN) -> None:
    """Serve DNS on ``address`` for ever; OSError when the port cannot be bound."""
    services = Informer(client, "/api/v1/services")
    slices = Informer(client, "/apis/discovery.k8s.io/v1/endpointslices")
    namespaces = Informer(client, "/api/v1/namespaces")
    zone = Zone()
    ZoneKeeper(zone, services=services, slices=slices, namespaces=namespaces)
    text = RESOLV_CONF.read_text() if RESOLV_CONF.exists() else ""
    responder = Responder(zone, domain, Forwarder(nameservers(text), address))
    async with asyncio.TaskGroup() as group:
        for informer in (services, slices, namespaces):
            group.create_task(informer.run(), name=f"dns watch {informer.path}")
        group.create_task(announce(client, address, port), name="dns announce")
        for informer in (services, slices, namespaces):
            await informer.synced.wait()
        await serve(responder, address, port)


async def serve(responder: Responder, address: str, port: int) -> None:
    """Answer by UDP and TCP until cancelled; connections that are open then are closed."""
    opened: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.add(writer)
        try:
            await responder.by_stream(reader, writer)
        finally:
            opened.discard(writer)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Server(responder.by_datagram), local_addr=(address, port)
    )
    try:
        server = await asyncio.start_server(connected, address, port, start_serving=False)
        try:
            await server.start_serving()
            log.info("dns: serving %s:%d", address, port)
            await asyncio.Event().wait()
        finally:
            # Not by the server's own context: that waits until the clients have closed their connections.
            server.close()
            for writer in opened:
                writer.transport.abort()
    finally:
        transport.close()


async def announce(client: ApiClient, address: str, port: int) -> None:
    """Make the Service kube-dns and its Endpoints."""
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "clusterIP": SERVICE_ADDRESS,
            "ports": [
                {"name": name, "protocol": protocol, "port": PORT, "targetPort": port} for name, protocol in ports
            ],
        },
    }
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": metadata,
        "subsets": [
            {
                "addresses": [{"ip": address}],
                "ports": [{"name": name, "protocol": protocol, "port": port} for name, protocol in ports],
            }
        ],
    }
    for plural, item in (("services", service), ("endpoints", endpoints)):
        try:
            await client.create(f"/api/v1/namespaces/kube-system/{plural}", item)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise


class ZoneKeeper:
    """Keeps the zone equal to what the caches hold."""

    def __init__(self, zone: Zone, *, services: Informer, slices: Informer, namespaces: Informer) -> None:
        self._zone = zone
        self._services = services
        self._slices = slices
        services.subscribe(self._service_changed)
        slices.subscribe(self._slice_changed)
        namespaces.subscribe(self._namespace_changed)

    def _service_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None:
            self._zone.remove(key_of(old or {}))
        else:
            self._refresh(key_of(new))

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        for item in (old, new):
            name = (item["metadata"].get("labels") or {}).get(_SERVICE_NAME) if item is not None else None
            if item is not None and name:
                self._refresh((item["metadata"]["namespace"], name))

    def _namespace_changed(self, old: Json | None, new: Json | None) -> None:
        if new is not None:
            self._zone.add_namespace(new["metadata"]["name"])
        elif old is not None:
            self._zone.remove_namespace(old["metadata"]["name"])

    def _refresh(self, key: tuple[str, str]) -> None:
        service = self._services.get(key)
        if service is None:
            return
        slices = [
            item
            for item in self._slices.within(key[0])
            if (item["metadata"].get("labels") or {}).get(_SERVICE_NAME) == key[1]
        ]
        self._zone.put(key, records_of(service, slices))


class Responder:
    """Turns queries in wire form into replies in wire form."""

    def __init__(self, zone: Zone, domain: str, forwarder: Forwarder) -> None:
        self._zone = zone
        self._domain = domain
        self._forwarder = forwarder

    async def by_datagram(self, data: bytes) -> bytes | None:
        """Answer one datagram; None for what is no query."""
        try:
            query = DNSRecord.parse(data)
        except _MALFORMED:
            return None
        reply = await self._reply(query, data)
        packed: bytes = reply.pack()
        return packed if len(packed) <= answers.udp_limit(query) else answers.truncated(reply).pack()

    async def by_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one TCP connection, each with its two bytes of length."""
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(size)
                packed = (await self._reply(DNSRecord.parse(data), data)).pack()
                writer.write(len(packed).to_bytes(2, "big") + packed)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, *_MALFORMED):
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _reply(self, query: DNSRecord, data: bytes) -> DNSRecord:
        try:
            return await self._found(query, data)
        except _MALFORMED as error:
            log.warning("dns: no answer to %s can be read: %s", query.q and query.q.qname, error)
            reply = query.reply()
            reply.header.rcode = RCODE.SERVFAIL
            return reply

    async def _found(self, query: DNSRecord, data: bytes) -> DNSRecord:
        """Answer from the zone or from upstream; raises one of ``_MALFORMED`` for an answer that is none."""
        found = answers.answer(query, self._zone, self._domain)
        if isinstance(found, DNSRecord):
            return found
        if not found.reply.rr:
            upstream = await self._forwarder.ask(data)
            return DNSRecord.parse(upstream) if upstream is not None else answers.not_there(query)
        # An ExternalName: its CNAME stands, with what upstream says of the target behind it.
        question = DNSRecord.question(found.name, found.reply.q and _type_name(found.reply))
        upstream = await self._forwarder.ask(question.pack())
        if upstream is not None:
            found.reply.add_answer(*DNSRecord.parse(upstream).rr)
        return found.reply


def _type_name(reply: DNSRecord) -> str:
    from dnslib import QTYPE

    name: str = QTYPE[reply.q.qtype]
    return name
