"""The agent's DNS server, asked as resolvers ask: by UDP and TCP, with short forms, search domains and unknown names."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from envoy.service.discovery.v3 import discovery_pb2

from mesh_reference.agent.name_lookup import Found, Lookup, Place, read_resolver
from mesh_reference.agent.name_server import NameServer
from mesh_reference.agent.name_stream import NameStream
from mesh_reference.name_table import TYPE_URL, NameTable

BUDGET_SECONDS = 10
SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")
PLACE = Place(namespace="shop", domain="svc.cluster.local", search=SEARCH)


def table(**more: list[str]) -> Any:
    out = NameTable()
    for name, namespace, address in (("reviews", "shop", "10.96.0.1"), ("ratings", "else", "10.96.0.2")):
        info = out.table[f"{name}.{namespace}.svc.cluster.local"]
        info.ips.append(address)
        info.registry, info.shortname, info.namespace = "Kubernetes", name, namespace
    for host, ips in {"x.example": ["240.240.0.7"], "*.wild.example": ["240.240.0.8"], **more}.items():
        out.table[host].ips.extend(ips)
        out.table[host].registry = "External"
    return out


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reviews.shop.svc.cluster.local", Found(addresses=("10.96.0.1",))),
        ("reviews", Found(addresses=("10.96.0.1",))),
        ("reviews.shop", Found(addresses=("10.96.0.1",))),
        ("reviews.shop.svc", Found(addresses=("10.96.0.1",))),
        ("ratings.else", Found(addresses=("10.96.0.2",))),
        ("ratings", None),
        ("x.example", Found(addresses=("240.240.0.7",))),
        ("x.example.shop.svc.cluster.local", Found(addresses=("240.240.0.7",), alias="x.example")),
        ("ratings.else.shop.svc.cluster.local", Found(addresses=("10.96.0.2",), alias="ratings.else")),
        ("x.example.cluster.local", None),
        ("reviews.shop.svc.cluster.local.shop.svc.cluster.local", None),
        ("a.b.wild.example", Found(addresses=("240.240.0.8",))),
        ("a.wild.example.shop.svc.cluster.local", Found(addresses=("240.240.0.8",), alias="a.wild.example")),
        ("wild.example", None),
        ("elsewhere.example", None),
        ("shop.svc.cluster.local", None),
    ],
)
def test_a_name_of_the_mesh_is_found_in_all_its_forms_and_no_other(name, found):
    assert Lookup(table(), PLACE).find(name) == found


def test_a_whole_name_comes_before_anothers_short_form():
    lookup = Lookup(table(**{"reviews.shop": ["10.1.1.1"]}), PLACE)
    assert lookup.find("reviews.shop") == Found(addresses=("10.1.1.1",))


def test_the_resolvers_file_names_servers_and_search_domains():
    text = "search old.example\nnameserver 10.96.0.10\n# nameserver 1.1.1.1\nsearch shop.svc.cluster.local svc\nnameserver ::1\n"
    assert read_resolver(text) == (("10.96.0.10", "::1"), ("shop.svc.cluster.local", "svc"))


class Upstream:
    """A DNS server on a port of chance, by UDP and TCP: every A is 192.0.2.1; ``asked`` keeps the names."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reply(self, data: bytes) -> bytes:
        question = DNSRecord.parse(data)
        self.asked.append(f"{question.q.qname} {QTYPE[question.q.qtype]}")
        out = question.reply()
        if question.q.qtype == QTYPE.A:
            out.add_answer(RR(question.q.qname, rdata=A("192.0.2.1")))
        return bytes(out.pack())

    @contextlib.asynccontextmanager
    async def serve(self):
        upstream = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, peer):
                self.transport.sendto(b"\0\0 of somebody else", peer)
                self.transport.sendto(upstream.reply(data), peer)

        async def stream(reader, writer):
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            packed = upstream.reply(data)
            writer.write(len(packed).to_bytes(2, "big") + packed)
            writer.close()

        server = await asyncio.start_server(stream, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", port))  # fmt: skip
        async with server:
            yield port
        transport.close()


async def ask(port: int, data: bytes, *, tcp: bool) -> bytes:
    async with asyncio.timeout(BUDGET_SECONDS):
        if tcp:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(len(data).to_bytes(2, "big") + data)
            out = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            writer.close()
            return out
        answer = asyncio.get_running_loop().create_future()

        class Datagrams(asyncio.DatagramProtocol):
            def datagram_received(self, data, _peer):
                answer.set_result(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=("127.0.0.1", port))  # fmt: skip
        transport.sendto(data)
        try:
            return await answer
        finally:
            transport.close()


def asked(question: DNSRecord, *, tcp: bool = False, synced: bool = True, told: Any = None) -> SimpleNamespace:
    """One question to a server with a table and an upstream."""

    async def run() -> SimpleNamespace:
        upstream = Upstream()
        async with upstream.serve() as up:
            server = NameServer(PLACE, ["127.0.0.1"], up)
            if synced:
                server.take((told or table()).SerializeToString())
            async with server.serve(port=0) as port:
                answer = DNSRecord.parse(await ask(port, bytes(question.pack()), tcp=tcp))
        return SimpleNamespace(answer=answer, upstream=upstream.asked, trouble=server.why_not_ready())

    return asyncio.run(run())


def rows(answer: DNSRecord) -> list[tuple[str, str, str]]:
    return [(str(item.rname), QTYPE[item.rtype], str(item.rdata)) for item in answer.rr]


@pytest.mark.parametrize("tcp", [False, True])
def test_a_name_of_the_mesh_is_answered_without_asking_anyone(tcp):  # IC19
    seen = asked(DNSRecord.question("X.Example.shop.svc.cluster.local"), tcp=tcp)
    assert rows(seen.answer) == [
        ("X.Example.shop.svc.cluster.local.", "CNAME", "x.example."),
        ("x.example.", "A", "240.240.0.7"),
    ]
    assert seen.answer.header.aa
    assert seen.upstream == []


@pytest.mark.parametrize("tcp", [False, True])
def test_an_unknown_name_is_the_pods_own_servers_business(tcp):  # IC19
    seen = asked(DNSRecord.question("elsewhere.example"), tcp=tcp)
    assert rows(seen.answer) == [("elsewhere.example.", "A", "192.0.2.1")]
    assert seen.upstream == ["elsewhere.example. A"]


def test_a_name_with_ipv4_addresses_alone_has_no_others_and_is_there_all_the_same():
    seen = asked(DNSRecord.question("reviews", "AAAA"))
    assert (rows(seen.answer), seen.answer.header.rcode, seen.upstream) == ([], RCODE.NOERROR, [])


def test_other_records_of_a_known_name_are_asked_of_the_pods_own_servers():
    assert asked(DNSRecord.question("reviews.shop.svc.cluster.local", "SRV")).upstream == [
        "reviews.shop.svc.cluster.local. SRV"
    ]


def test_before_the_first_table_questions_fail_and_the_pod_is_not_ready():
    seen = asked(DNSRecord.question("reviews"), synced=False)
    assert seen.answer.header.rcode == RCODE.SERVFAIL
    assert seen.trouble == "istiod has sent no names yet"


def test_an_answer_too_long_for_a_datagram_is_cut_and_whole_by_tcp():
    many = table(**{"many.example": [f"240.240.1.{number}" for number in range(100)]})
    cut = asked(DNSRecord.question("many.example"), told=many).answer
    assert cut.header.tc
    assert not cut.rr
    assert len(asked(DNSRecord.question("many.example"), told=many, tcp=True).answer.rr) == 100


def test_a_server_that_answers_nothing_is_told_as_a_failure():
    async def run() -> DNSRecord:
        server = NameServer(PLACE, ["127.0.0.1"], 1)
        server.take(table().SerializeToString())
        async with server.serve(port=0) as port:
            return DNSRecord.parse(await ask(port, bytes(DNSRecord.question("elsewhere.example").pack()), tcp=True))

    assert asyncio.run(run()).header.rcode == RCODE.SERVFAIL


def test_what_is_no_question_harms_nobody():
    async def run() -> DNSRecord:
        server = NameServer(PLACE, [])
        server.take(table().SerializeToString())
        async with server.serve(port=0) as port:
            noise, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
            )
            for data in (b"", b"\xff", b"\xff" * 40, bytes(DNSRecord.question("reviews").reply().pack())):
                noise.sendto(data)
            noise.close()
            return DNSRecord.parse(await ask(port, bytes(DNSRecord.question("reviews").pack()), tcp=False))

    assert rows(asyncio.run(run())) == [("reviews.", "A", "10.96.0.1")]


@pytest.mark.parametrize("delta", [True, False])
def test_the_table_is_taken_and_acknowledged_and_envoys_answers_are_left_alone(delta):
    taken: list[bytes] = []
    stream = NameStream(delta=delta, take=taken.append)
    kind = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
    response = kind(type_url=TYPE_URL, nonce="7")
    resource = response.resources.add()
    inner = resource.resource if delta else resource
    inner.type_url, inner.value = TYPE_URL, table().SerializeToString()
    if not delta:
        response.version_info = "v1"
    said = stream.answer(response.SerializeToString())
    assert taken == [table().SerializeToString()]
    read = (discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest).FromString(said)
    assert (read.type_url, read.response_nonce, read.HasField("error_detail")) == (TYPE_URL, "7", False)
    assert stream.answer(kind(type_url="type.googleapis.com/other", nonce="8").SerializeToString()) is None


def test_a_table_that_is_none_is_refused_with_the_reason_and_the_old_one_stays():
    server = NameServer(PLACE, [])
    server.take(table().SerializeToString())
    response = discovery_pb2.DeltaDiscoveryResponse(type_url=TYPE_URL, nonce="9")
    response.resources.add().resource.value = b"\xff\xff"
    said = NameStream(delta=True, take=server.take).answer(response.SerializeToString())
    assert "not a NameTable" in discovery_pb2.DeltaDiscoveryRequest.FromString(said).error_detail.message
    assert server.why_not_ready() == ""
