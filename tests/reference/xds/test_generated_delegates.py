"""R19: roots and delegates, as the routes that come out of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from memory_kube import service, virtual_service
from mesh_of import add, configuration, hosts, index_of, routes

REVIEWS = service("reviews", "10.96.0.7")
HOST = "reviews.shop.svc.cluster.local:80"
TO = {"route": [{"destination": {"host": "reviews"}}]}


def uri(**match: str) -> dict[str, Any]:
    return {"match": [{"uri": match}]}


def root(*http: dict[str, Any], **delegate: str) -> dict[str, Any]:
    return virtual_service("root", ["reviews"], [{**block, "delegate": {"name": "leaf", **delegate}} for block in http])


def leaf(*http: dict[str, Any], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return virtual_service("leaf", [], list(http), namespace, **spec)


def made(*objects: dict[str, Any]) -> list[dict[str, Any]]:
    return routes(configuration(REVIEWS, *objects), HOST)


def test_a_delegates_routes_stand_where_the_root_refers_to_it() -> None:
    (route, *rest) = made(
        root({"name": "r", **uri(prefix="/a"), "timeout": "3s"}), leaf({"name": "l", **uri(exact="/a/b"), **TO})
    )
    assert (route["name"], route["match"]["path"], route["route"]["timeout"]) == ("r-l", "/a/b", "3s")
    assert not rest


def test_the_delegates_own_fields_win_and_unset_ones_are_the_roots() -> None:
    (route,) = made(root({"timeout": "3s", "retries": {"attempts": 0}}), leaf({**TO, "timeout": "1s"}))
    assert route["route"]["timeout"] == "1s"
    assert "retryPolicy" not in route["route"]


def test_a_match_outside_the_roots_drops_that_route_alone() -> None:
    found = made(root(uri(prefix="/a")), leaf({**uri(prefix="/b"), **TO}, {**uri(prefix="/a/c"), **TO}))
    assert [route["match"]["prefix"] for route in found] == ["/a/c"]


def test_without_its_delegate_a_root_has_no_route_and_the_service_its_default() -> None:
    index = index_of(REVIEWS, root(uri(prefix="/a")))
    assert index.snapshot().virtual_services["shop", "root"].http == ()
    assert made_default(index)  # F5
    assert add(index, leaf({**uri(prefix="/a"), **TO})).configs == {
        ("VirtualService", "shop", "leaf"), ("VirtualService", "shop", "root"),
    }  # fmt: skip
    assert len(index.snapshot().virtual_services["shop", "root"].http) == 1


def made_default(index: Any) -> bool:
    from mesh_reference.settings import Settings
    from mesh_reference.xds.configuration import Configuration

    return routes(Configuration(index.snapshot(), Settings()), HOST)[0]["name"] == "default"


def test_a_delegate_that_is_not_exported_to_the_roots_namespace_does_not_count() -> None:
    away = leaf(TO, namespace="else", exportTo=["."])
    assert made(root({}, namespace="else"), away)[0]["name"] == "default"
    open_one = leaf({"name": "l", **TO}, namespace="else")
    assert made(root({}, namespace="else"), open_one)[0]["name"] == "l"


def test_a_delegate_takes_no_host_itself() -> None:
    assert set(hosts(configuration(REVIEWS, leaf(TO)))) == {HOST, "allow_any"}


TEXTS = st.sampled_from([{"exact": "/a"}, {"prefix": "/a"}, {"prefix": "/"}, {"exact": "/a/b"}, {"regex": "/a.*"}])


@given(TEXTS, TEXTS)
def test_a_joined_match_never_takes_what_the_root_does_not(wide: dict[str, str], narrow: dict[str, str]) -> None:
    found = made(root(uri(**wide)), leaf({**uri(**narrow), **TO, "name": "l"}))
    for path in ("/", "/a", "/ab", "/a/b", "/b"):
        if any(_takes(narrow, path) for route in found if route["name"] == "l"):
            assert _takes(wide, path)


def _takes(match: dict[str, str], path: str) -> bool:
    ((kind, value),) = match.items()
    return path == value if kind == "exact" else path.startswith(value.removesuffix(".*"))
