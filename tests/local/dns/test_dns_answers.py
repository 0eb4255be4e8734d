"""The cluster's DNS answers, from Services and EndpointSlices."""

import asyncio
import contextlib
import socket

import pytest
from dnslib import QTYPE, RCODE, DNSRecord

from pytest_mesh.clusters.local.dns import answers, datagrams, server
from pytest_mesh.clusters.local.dns.datagrams import exchange
from pytest_mesh.clusters.local.dns.forwarding import Forwarder, nameservers
from pytest_mesh.clusters.local.dns.zone import Zone, records_of

DOMAIN = "cluster.local"


def service(name, **spec):
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"clusterIP": "10.96.0.7", "ports": ports, **spec}}


def endpoint_slice(*endpoints):
    return {"endpoints": list(endpoints), "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}


@pytest.fixture
def zone():
    zone = Zone()
    zone.add_namespace("shop")
    zone.put(("shop", "web"), records_of(service("web"), []))
    headless = endpoint_slice(
        {"addresses": ["10.244.0.5"], "conditions": {"ready": True}, "hostname": "db-0"},
        {"addresses": ["10.244.0.6"], "conditions": {"ready": True}},
        {"addresses": ["10.244.0.9"], "conditions": {"ready": False}},
    )
    zone.put(("shop", "db"), records_of(service("db", clusterIP="None"), [headless]))
    zone.put(("shop", "out"), records_of(service("out", type="ExternalName", externalName="example.org"), []))
    alias = service("alias", type="ExternalName", externalName="web.shop.svc.cluster.local")
    zone.put(("shop", "alias"), records_of(alias, []))
    return zone


def ask(zone, name, kind="A"):
    return answers.answer(DNSRecord.question(name, kind), zone, DOMAIN)


def values(reply, kind="A"):
    return sorted(str(record.rdata) for record in reply.rr if QTYPE[record.rtype] == kind)


def test_a_service_answers_with_its_address(zone):
    assert values(ask(zone, "web.shop.svc.cluster.local")) == ["10.96.0.7"]


def test_names_are_not_case_sensitive(zone):
    assert values(ask(zone, "WEB.shop.SVC.cluster.local")) == ["10.96.0.7"]


def test_a_headless_service_answers_with_its_ready_endpoints(zone):
    assert values(ask(zone, "db.shop.svc.cluster.local")) == ["10.244.0.5", "10.244.0.6"]


def test_an_endpoint_of_a_headless_service_has_a_name_of_its_own(zone):
    assert values(ask(zone, "db-0.db.shop.svc.cluster.local")) == ["10.244.0.5"]
    assert values(ask(zone, "10-244-0-6.db.shop.svc.cluster.local")) == ["10.244.0.6"]


def test_a_headless_service_that_publishes_unready_addresses_gives_them_all():
    zone = Zone()
    endpoints = endpoint_slice({"addresses": ["10.244.0.9"], "conditions": {"ready": False}})
    records = records_of(service("db", clusterIP="None", publishNotReadyAddresses=True), [endpoints])
    zone.put(("shop", "db"), records)
    assert values(ask(zone, "db.shop.svc.cluster.local")) == ["10.244.0.9"]


def test_a_headless_service_without_endpoints_exists_but_has_no_address():
    zone = Zone()
    zone.put(("shop", "db"), records_of(service("db", clusterIP="None"), []))
    reply = ask(zone, "db.shop.svc.cluster.local")
    assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])


def test_an_external_name_is_an_alias_to_be_asked_elsewhere(zone):
    found = ask(zone, "out.shop.svc.cluster.local")
    assert isinstance(found, answers.Elsewhere)
    assert found.name == "example.org"
    assert values(found.reply, "CNAME") == ["example.org."]


def test_an_external_name_inside_the_cluster_is_followed(zone):
    reply = ask(zone, "alias.shop.svc.cluster.local")
    assert values(reply, "CNAME") == ["web.shop.svc.cluster.local."]
    assert values(reply) == ["10.96.0.7"]


def test_a_pods_dashed_address_is_a_name_in_its_namespace_only(zone):
    assert values(ask(zone, "10-244-0-5.shop.pod.cluster.local")) == ["10.244.0.5"]
    assert ask(zone, "10-244-0-5.nowhere.pod.cluster.local").header.rcode == RCODE.NXDOMAIN
    assert ask(zone, "ten-244-0-5.shop.pod.cluster.local").header.rcode == RCODE.NXDOMAIN


def test_a_named_port_has_an_srv_record(zone):
    reply = ask(zone, "_http._tcp.web.shop.svc.cluster.local", "SRV")
    assert values(reply, "SRV") == ["0 100 80 web.shop.svc.cluster.local."]
    assert [str(record.rdata) for record in reply.ar] == ["10.96.0.7"]


def test_an_srv_record_of_a_headless_service_names_each_endpoint(zone):
    reply = ask(zone, "_http._tcp.db.shop.svc.cluster.local", "SRV")
    assert values(reply, "SRV") == [
        "0 50 8080 10-244-0-6.db.shop.svc.cluster.local.",
        "0 50 8080 db-0.db.shop.svc.cluster.local.",
    ]


def test_an_address_points_back_to_its_name(zone):
    assert values(ask(zone, "7.0.96.10.in-addr.arpa", "PTR"), "PTR") == ["web.shop.svc.cluster.local."]
    assert values(ask(zone, "5.0.244.10.in-addr.arpa", "PTR"), "PTR") == ["db-0.db.shop.svc.cluster.local."]


def test_an_unknown_name_is_refused_with_the_zones_soa(zone):
    reply = ask(zone, "nope.shop.svc.cluster.local")
    assert reply.header.rcode == RCODE.NXDOMAIN
    assert [QTYPE[record.rtype] for record in reply.auth] == ["SOA"]


def test_ipv6_of_a_known_name_is_an_empty_answer_and_no_refusal(zone):
    reply = ask(zone, "web.shop.svc.cluster.local", "AAAA")
    assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])
    assert [QTYPE[record.rtype] for record in reply.auth] == ["SOA"]


def test_a_name_with_names_below_it_exists(zone):
    assert ask(zone, "shop.svc.cluster.local").header.rcode == RCODE.NOERROR
    assert ask(zone, "other.svc.cluster.local").header.rcode == RCODE.NXDOMAIN


def test_names_outside_the_domain_are_asked_elsewhere(zone):
    assert isinstance(ask(zone, "example.org"), answers.Elsewhere)
    assert isinstance(ask(zone, "notcluster.local"), answers.Elsewhere)
    assert isinstance(ask(zone, "8.8.8.8.in-addr.arpa", "PTR"), answers.Elsewhere)


def test_a_removed_service_is_gone_with_its_parents(zone):
    for name in ("web", "db", "out", "alias"):
        zone.remove(("shop", name))
    assert ask(zone, "web.shop.svc.cluster.local").header.rcode == RCODE.NXDOMAIN
    assert ask(zone, "shop.svc.cluster.local").header.rcode == RCODE.NXDOMAIN


def test_an_alias_that_leads_to_itself_ends():
    zone = Zone()
    loop = service("a", type="ExternalName", externalName="a.shop.svc.cluster.local")
    zone.put(("shop", "a"), records_of(loop, []))
    assert ask(zone, "a.shop.svc.cluster.local").header.rcode == RCODE.SERVFAIL


def test_nameservers_are_read_from_a_resolv_conf():
    text = "search a\nnameserver 192.0.2.1 # first\n;nameserver 192.0.2.9\nnameserver ::1\nnameserver 192.0.2.2\n"
    assert nameservers(text) == ("192.0.2.1", "192.0.2.2")


def serve_and_ask(zone, questions):
    """Give the replies of a real server on loopback: by UDP, or by TCP for (name, kind, "tcp")."""

    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        responder = server.Responder(zone, DOMAIN, Forwarder((), "127.0.0.1"))
        task = asyncio.create_task(server.serve(responder, "127.0.0.1", port))
        replies = []
        try:
            for name, kind, way in questions:
                data = DNSRecord.question(name, kind).pack()
                for _ in range(500):
                    try:
                        reply = await (exchange if way == "udp" else over_tcp)("127.0.0.1", port, data)
                        break
                    except OSError:
                        await asyncio.sleep(0.01)
                replies.append(DNSRecord.parse(reply))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return replies

    return asyncio.run(asyncio.wait_for(scenario(), 10))


async def over_tcp(host, port, data):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(len(data).to_bytes(2, "big") + data)
    reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()
    await writer.wait_closed()
    return reply


def test_the_server_answers_by_udp_and_by_tcp(zone):
    questions = [("web.shop.svc.cluster.local", "A", "udp"), ("web.shop.svc.cluster.local", "A", "tcp")]
    assert [values(reply) for reply in serve_and_ask(zone, questions)] == [["10.96.0.7"], ["10.96.0.7"]]


def test_without_nameservers_a_foreign_name_is_refused_at_once(zone):
    (reply,) = serve_and_ask(zone, [("example.org", "A", "udp")])
    assert reply.header.rcode == RCODE.NXDOMAIN


def test_an_answer_too_long_for_udp_is_cut_and_whole_by_tcp():
    zone = Zone()
    endpoints = endpoint_slice(*({"addresses": [f"10.244.1.{number}"]} for number in range(100)))
    zone.put(("shop", "big"), records_of(service("big", clusterIP="None"), [endpoints]))
    name = "big.shop.svc.cluster.local"
    short, long = serve_and_ask(zone, [(name, "A", "udp"), (name, "A", "tcp")])
    assert (short.header.tc, len(short.rr)) == (1, 0)
    assert len(long.rr) == 100


@pytest.mark.parametrize("said", [b"", b"half", b"\0\1\x81\x80\0\1\0\1\0\0\0\0\xc0"])
@pytest.mark.parametrize("name", ["example.org", "out.shop.svc.cluster.local"])
def test_an_answer_from_elsewhere_that_is_none_is_a_failure_of_the_server(zone, name, said):
    class Upstream:
        async def ask(self, _):
            return said

    responder = server.Responder(zone, DOMAIN, Upstream())
    query = DNSRecord.question(name)

    reply = DNSRecord.parse(asyncio.run(responder.by_datagram(query.pack())))

    assert (reply.header.rcode, reply.header.id) == (RCODE.SERVFAIL, query.header.id)


def test_so_many_questions_are_under_way_and_no_more(monkeypatch):
    monkeypatch.setattr(datagrams, "MAX_OPEN", 2)

    async def scenario():
        asked = []

        async def handle(data):
            asked.append(data)
            await asyncio.Event().wait()

        responder = datagrams.Server(handle)
        for number in range(3):
            responder.datagram_received(bytes([number]), ("127.0.0.1", 1))
        await asyncio.sleep(0)
        responder.connection_lost(None)
        return asked

    assert asyncio.run(scenario()) == [b"\0", b"\1"]


def test_an_open_connection_ends_with_the_server(zone):
    async def scenario():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        task = asyncio.create_task(server.serve(server.Responder(zone, DOMAIN, Forwarder((), "")), "127.0.0.1", port))
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.005)
        data = DNSRecord.question("web.shop.svc.cluster.local").pack()
        writer.write(len(data).to_bytes(2, "big") + data)
        await reader.readexactly(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    asyncio.run(asyncio.wait_for(scenario(), 5))
