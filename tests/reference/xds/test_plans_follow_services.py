"""Which virtual hosts there are after Services came and went: followed host by host, the plans are those from scratch."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_kube import service, virtual_service
from mesh_of import add, index_of

from mesh_reference.model.snapshot import MeshSnapshot
from mesh_reference.store.index import MeshIndex
from mesh_reference.xds.host_plans import Plans, plan
from mesh_reference.xds.route_matches import Client
from mesh_reference.xds.scopes import Scope

Json = dict[str, Any]
HTTP = [{"name": "http", "port": 80}]
KINDS = (HTTP, [{"name": "http", "port": 81}], [{"name": "tcp", "port": 80}], [{"port": 80}])
CLIENT = Client(namespace="shop", labels={"app": "t"})
WHERE = st.tuples(st.sampled_from(["reviews", "ratings", "db"]), st.sampled_from(["shop", "else"]))
Services = dict[tuple[str, str], list[Json]]
SERVICES = st.dictionaries(WHERE, st.sampled_from(KINDS), min_size=2, max_size=5)
STEPS = st.lists(
    st.dictionaries(WHERE, st.sampled_from([*KINDS, None]), min_size=1, max_size=2), min_size=1, max_size=4
)
HOSTS = [
    "reviews",
    "ratings",
    "reviews.else",
    "ratings.shop",
    "db.else.svc",
    "*.else.svc.cluster.local",
    "x.example",
    "*.example",
]
ROUTED = st.lists(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True), max_size=1)


def mesh(found: Services, routed: list[list[str]]) -> MeshIndex:
    return index_of(
        *(service(name, "10.96.0.1", ports, namespace) for (name, namespace), ports in found.items()),
        *(
            virtual_service(f"vs{number}", hosts, [{"route": [{"destination": {"host": "db"}}]}])
            for number, hosts in enumerate(routed)
        ),
    )


def scope_of(snapshot: MeshSnapshot) -> Scope:
    return Scope(snapshot, "shop", "istio-system")


def changed(before: MeshSnapshot, after: MeshSnapshot) -> frozenset[str]:
    hosts = before.services.keys() | after.services.keys()
    return frozenset(host for host in hosts if before.services.get(host) != after.services.get(host))


def hosts_of(plans: Plans) -> list[tuple[str, tuple[str, ...], str]]:
    """Name, domains and owner of each, in their order."""
    return [
        (name, planned.domains, planned.virtual_service.meta.name if planned.virtual_service else "")
        for name, planned in plans.hosts.items()
    ]


@settings(max_examples=80, deadline=None)
@given(SERVICES, STEPS, ROUTED)
def test_plans_that_are_followed_are_those_from_scratch(
    first: Services, steps: list[dict[tuple[str, str], list[Json] | None]], routed: list[list[str]]
) -> None:
    present = first
    before = mesh(present, routed).snapshot()
    plans = plan(scope_of(before), CLIENT, 80)
    for step in steps:
        present = {where: ports for where, ports in {**present, **step}.items() if ports is not None}
        after = mesh(present, routed).snapshot()
        scratch = plan(scope_of(after), CLIENT, 80)
        followed = plans.following(scope_of(after), 80, changed(before, after))
        assert followed is None or (hosts_of(followed), followed.taken) == (hosts_of(scratch), scratch.taken)
        before, plans = after, followed or scratch


def test_a_service_that_nobody_else_names_is_followed() -> None:
    index = mesh({("reviews", "shop"): HTTP}, [["reviews"]])
    plans = plan(scope_of(index.snapshot()), CLIENT, 80)
    add(index, service("ratings", "10.96.0.2", HTTP, "shop"))
    followed = plans.following(scope_of(index.snapshot()), 80, frozenset({"ratings.shop.svc.cluster.local"}))
    assert followed is not None
    assert list(followed.hosts) == ["ratings.shop.svc.cluster.local:80", "reviews.shop.svc.cluster.local:80"]
    assert followed.hosts["reviews.shop.svc.cluster.local:80"] is plans.hosts["reviews.shop.svc.cluster.local:80"]
