"""The Services' rules as text for iptables-restore.

Pure: (Services, EndpointSlices) -> routes -> text. A change is only ever an insertion: a new chain, and a jump to
it in front of the old one. The kernel takes an insertion in 3 ms and a deletion in 20 (it waits for all packets
under way), so what is stale is swept out later, when nothing waits for it. IPv4 only; no source ranges, external
addresses or load balancers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.contracts import Json

SERVICE_RANGE = "10.96.0.0/16"
_DISPATCH = "MESH-SERVICES"
_HAIRPIN = "MESH-HAIRPIN"
_NOWHERE = "RETURN"

Endpoints = tuple[tuple[str, int], ...]
"""(address, port), sorted."""

Routes = Mapping[str, Endpoints]
"""What packets are led where: an iptables match and its endpoints, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What stands in the kernel after a text was taken."""

    routes: Routes = field(default_factory=dict)
    chains: Mapping[str, str] = field(default_factory=dict)
    """The chain in force, or RETURN, by match."""
    hairpins: frozenset[str] = frozenset()
    stale: tuple[tuple[str, str], ...] = ()
    """(match, chain) of jumps behind the one in force."""
    generation: int = 0
    """Chains made so far."""


def routes_of(service: Json, slices: Iterable[Json]) -> Routes:
    """Give the routes to a Service that has a virtual address; a port without endpoints has none."""
    spec = service["spec"]
    address = spec.get("clusterIP")
    if spec.get("type") == "ExternalName" or not address or address == "None":
        return {}
    owned = tuple(slices)
    routes: dict[str, Endpoints] = {}
    for port in spec.get("ports") or ():
        protocol = port.get("protocol", "TCP")
        endpoints = chosen_endpoints(owned, port.get("name", ""), protocol)
        if not endpoints:
            continue
        kind = protocol.lower()
        routes[f"-d {address}/32 -p {kind} -m {kind} --dport {port['port']}"] = endpoints
        if port.get("nodePort"):
            routes[f"-p {kind} -m {kind} --dport {port['nodePort']} -m addrtype --dst-type LOCAL"] = endpoints
    return routes


def chosen_endpoints(slices: Iterable[Json], port_name: str, protocol: str) -> Endpoints:
    """Give the ready endpoints of a port; when none is ready, those that still serve while they end."""
    ready: set[tuple[str, int]] = set()
    ending: set[tuple[str, int]] = set()
    for item in slices:
        numbers = [
            port["port"]
            for port in item.get("ports") or ()
            if (port.get("name") or "") == port_name and port.get("protocol", "TCP") == protocol
        ]
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            pairs = {(address, number) for address in endpoint["addresses"] for number in numbers}
            if conditions.get("ready") is not False:
                ready |= pairs
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= pairs
    return tuple(sorted(ready or ending))


def unsupported(service: Json) -> list[str]:
    """Give what this Service asks for and these rules do not do."""
    spec = service["spec"]
    found = []
    if spec.get("sessionAffinity") == "ClientIP":
        found.append("sessionAffinity ClientIP: connections are spread at random")
    if spec.get("externalIPs"):
        found.append("externalIPs: they lead nowhere")
    if spec.get("type") == "LoadBalancer":
        found.append("type LoadBalancer: it never gets an external address")
    return found


def whole(routes: Routes, generation: int = 0) -> tuple[str, Applied]:
    """Give the complete nat and filter tables, which replace what is there."""
    chains = {match: _chain(generation + number) for number, match in enumerate(routes)}
    hairpins = _addresses(routes)
    nat = [
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":INPUT ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":POSTROUTING ACCEPT [0:0]",
        *(f":{chain} - [0:0]" for chain in (_DISPATCH, _HAIRPIN, *chains.values())),
        f"-A PREROUTING -j {_DISPATCH}",
        f"-A OUTPUT -j {_DISPATCH}",
        f"-A POSTROUTING ! -o lo -j {_HAIRPIN}",
    ]
    for match, endpoints in routes.items():
        nat += [*_choices(chains[match], match, endpoints), f"-A {_DISPATCH} {match} -j {chains[match]}"]
    nat += [f"-A {_hairpin(address)}" for address in sorted(hairpins)]
    # What is still addressed to a Service here has no endpoint: refuse it at once, as kube-proxy does.
    # TCP by a reset: an ICMP error for one's own packet on its way out does not reach one's own socket.
    filtering = ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    for chain in ("FORWARD", "OUTPUT"):
        refused = f"-A {chain} -d {SERVICE_RANGE}"
        filtering += [
            f"{refused} -p tcp -m tcp -j REJECT --reject-with tcp-reset",
            f"{refused} -j REJECT --reject-with icmp-port-unreachable",
        ]
    text = "\n".join([*nat, "COMMIT", *filtering, "COMMIT", ""])
    after = Applied(routes=dict(routes), chains=chains, hairpins=hairpins, generation=generation + len(chains))
    return text, after


def change(before: Applied, routes: Routes) -> tuple[str, Applied]:
    """Give the insertions that put ``routes`` in force (for --noflush, one transaction); empty text = nothing to do."""
    chains = dict(before.chains)
    stale = list(before.stale)
    generation = before.generation
    heads, lines = [], []
    for match, endpoints in routes.items():
        if before.routes.get(match) == endpoints:
            continue
        chain = _chain(generation)
        generation += 1
        heads.append(f":{chain} - [0:0]")
        lines += [*_choices(chain, match, endpoints), f"-I {_DISPATCH} {match} -j {chain}"]
        if match in chains:
            stale.append((match, chains[match]))
        chains[match] = chain
    for match in before.routes:
        if match not in routes:
            lines.append(f"-I {_DISPATCH} {match} -j {_NOWHERE}")
            stale.append((match, chains[match]))
            chains[match] = _NOWHERE
    added = _addresses(routes) - before.hairpins
    lines += [f"-A {_hairpin(address)}" for address in sorted(added)]
    after = Applied(
        routes=dict(routes),
        chains=chains,
        hairpins=before.hairpins | added,
        stale=tuple(stale),
        generation=generation,
    )
    return _transaction([*heads, *lines]), after


def sweep(before: Applied) -> tuple[str, Applied]:
    """Give the deletions of all that is not in force any more; empty text = there is nothing."""
    hairpins = _addresses(before.routes)
    unused = [match for match, chain in before.chains.items() if chain == _NOWHERE]
    gone = [*before.stale, *((match, _NOWHERE) for match in unused)]
    dead = [chain for _, chain in gone if chain != _NOWHERE]
    lines = [
        *(f"-D {_DISPATCH} {match} -j {chain}" for match, chain in gone),
        *(f"-D {_hairpin(address)}" for address in sorted(before.hairpins - hairpins)),
        *(f"-F {chain}" for chain in dead),
        *(f"-X {chain}" for chain in dead),
    ]
    after = Applied(
        routes=before.routes,
        chains={match: chain for match, chain in before.chains.items() if chain != _NOWHERE},
        hairpins=hairpins,
        generation=before.generation,
    )
    return _transaction(lines), after


def _transaction(lines: list[str]) -> str:
    return "\n".join(["*nat", *lines, "COMMIT", ""]) if lines else ""


def _chain(number: int) -> str:
    return f"MESH-{number}"


def _choices(chain: str, match: str, endpoints: Endpoints) -> list[str]:
    """Give one DNAT rule per endpoint; of n left, the next is taken with probability 1/n."""
    protocol = match.partition("-p ")[2].partition(" ")[0]
    lines = []
    for number, (address, port) in enumerate(endpoints):
        left = len(endpoints) - number
        chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
        lines.append(f"-A {chain} -p {protocol} {chance}-j DNAT --to-destination {address}:{port}")
    return lines


def _hairpin(address: str) -> str:
    return f"{_HAIRPIN} -s {address}/32 -d {address}/32 -j MASQUERADE"


def _addresses(routes: Routes) -> frozenset[str]:
    return frozenset(address for endpoints in routes.values() for address, _ in endpoints)
