"""Answers to DNS questions about the cluster's zone, in wire form.

Pure: (query, Zone) -> reply, or word that the question has to be asked elsewhere. What it cannot read it refuses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnslib import CNAME, NS, OPCODE, PTR, QTYPE, RCODE, RR, SOA, SRV, TXT, A, DNSHeader, DNSRecord

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.dns.zone import Zone

TTL = 5
"""Seconds, as CoreDNS' kubernetes plugin gives."""
DNS_VERSION = "1.1.0"
_MAX_ALIASES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """The question is not the cluster's: ``name`` has to be asked upstream, and its answers follow ``prefix``."""

    reply: DNSRecord
    name: str


def answer(query: DNSRecord, zone: Zone, domain: str) -> DNSRecord | Elsewhere:
    """Answer one query; ``domain`` is the cluster domain without a final dot."""
    reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, aa=1, ra=1, rd=query.header.rd), q=query.q)
    if query.header.opcode != OPCODE.QUERY or query.q is None:
        reply.header.rcode = RCODE.NOTIMP
        return reply
    name = str(query.q.qname).rstrip(".").lower()
    kind = QTYPE[query.q.qtype]
    if name.endswith(".in-addr.arpa"):
        target = zone.pointer(_address_in(name))
        if not target:
            return Elsewhere(reply=reply, name=name)
        if kind in {"PTR", "ANY"}:
            reply.add_answer(RR(query.q.qname, QTYPE.PTR, rdata=PTR(f"{target}.{domain}."), ttl=TTL))
        return _with_authority(reply, domain)
    for _ in range(_MAX_ALIASES):
        if name != domain and not name.endswith(f".{domain}"):
            return Elsewhere(reply=reply, name=name)
        relative = name.removesuffix(domain).rstrip(".")
        alias = zone.alias(relative)
        if not alias:
            _fill(reply, zone, domain, relative, kind)
            return _with_authority(reply, domain)
        reply.add_answer(RR(f"{name}.", QTYPE.CNAME, rdata=CNAME(f"{alias}."), ttl=TTL))
        if kind == "CNAME":
            return reply
        name = alias
    reply.header.rcode = RCODE.SERVFAIL
    return reply


def not_there(query: DNSRecord) -> DNSRecord:
    """Give NXDOMAIN for a name outside the cluster that nobody can be asked about."""
    reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, ra=1, rd=query.header.rd), q=query.q)
    reply.header.rcode = RCODE.NXDOMAIN
    return reply


def truncated(reply: DNSRecord) -> DNSRecord:
    """Give the reply without records and with TC set, so that the client comes back by TCP."""
    short = DNSRecord(DNSHeader(id=reply.header.id, qr=1, aa=reply.header.aa, ra=1, rd=reply.header.rd), q=reply.q)
    short.header.tc = 1
    short.header.rcode = reply.header.rcode
    return short


def udp_limit(query: DNSRecord) -> int:
    """Give the longest reply in bytes that the client takes by UDP (EDNS, else 512)."""
    for record in query.ar:
        if record.rtype == QTYPE.OPT:
            return max(512, int(record.rclass))
    return 512


def _fill(reply: DNSRecord, zone: Zone, domain: str, relative: str, kind: str) -> None:
    owner = f"{relative}.{domain}." if relative else f"{domain}."
    if not zone.exists(relative):
        reply.header.rcode = RCODE.NXDOMAIN
        return
    if kind in {"A", "ANY"}:
        addresses = list(zone.addresses(relative))
        random.shuffle(addresses)  # clients take the first: spread them, as CoreDNS' loadbalance does
        for address in addresses:
            reply.add_answer(RR(owner, QTYPE.A, rdata=A(address), ttl=TTL))
    if kind in {"SRV", "ANY"}:
        targets = zone.targets(relative)
        for target in targets:
            data = SRV(0, max(1, 100 // len(targets)), target.port, f"{target.name}.{domain}.")
            reply.add_answer(RR(owner, QTYPE.SRV, rdata=data, ttl=TTL))
        for name in dict.fromkeys(target.name for target in targets):
            for address in zone.addresses(name):
                reply.add_ar(RR(f"{name}.{domain}.", QTYPE.A, rdata=A(address), ttl=TTL))
    if kind in {"TXT", "ANY"} and relative == "dns-version":
        reply.add_answer(RR(owner, QTYPE.TXT, rdata=TXT(DNS_VERSION), ttl=TTL))
    if relative == "" and kind in {"SOA", "NS", "ANY"}:
        if kind in {"NS", "ANY"}:
            reply.add_answer(RR(owner, QTYPE.NS, rdata=NS(f"ns.dns.{domain}."), ttl=TTL))
        if kind in {"SOA", "ANY"}:
            reply.add_answer(_authority(domain))


def _with_authority(reply: DNSRecord, domain: str) -> DNSRecord:
    """Add the SOA record that lets clients remember a negative answer."""
    if not reply.rr or all(record.rtype == QTYPE.CNAME for record in reply.rr):
        reply.add_auth(_authority(domain))
    return reply


def _authority(domain: str) -> RR:
    # (serial, refresh, retry, expire, minimum) with CoreDNS' figures.
    data = SOA(f"ns.dns.{domain}.", f"hostmaster.{domain}.", (1, 7200, 1800, 86400, TTL))
    return RR(f"{domain}.", QTYPE.SOA, rdata=data, ttl=TTL)


def _address_in(name: str) -> str:
    return ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
