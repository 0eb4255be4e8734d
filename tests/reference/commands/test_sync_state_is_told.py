"""What ``refmesh proxy-status`` makes of /debug/syncz, and its comparison of one sidecar with what it was told."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_reference.commands.dump import Dump
from mesh_reference.commands.pods import split_name
from mesh_reference.commands.sync_state import compare, is_stale, rows, wide_rows

Json = dict[str, Any]


def entry(**changes: Any) -> Json:
    sent = {
        f"{name}_{word}": "n1" for name in ("cluster", "listener", "endpoint", "route") for word in ("sent", "acked")
    }
    return {"proxy": "a.shop", "cluster_id": "Kubernetes", "istio_version": "1.32", **sent, "rejections": {}, **changes}


def test_a_connected_sidecar_is_a_row_with_its_types() -> None:
    assert rows({"istiod-1": [entry()]}) == [("a.shop", "Kubernetes", "istiod-1", "1.32", "4 (CDS,LDS,EDS,RDS)")]


@pytest.mark.parametrize(
    ("changes", "column", "word", "stale"),
    [
        ({}, 1, "SYNCED", False),
        ({"cluster_acked": "n0"}, 1, "STALE", True),
        ({"listener_sent": "", "listener_acked": ""}, 2, "NOT SENT", False),
        ({"rejections": {"rds": {"version": "2", "message": "bad regex"}}}, 4, "REJECTED", True),
    ],
)
def test_the_state_of_each_type_is_told(changes: Json, column: int, word: str, stale: bool) -> None:
    pages = {"istiod-1": [entry(**changes)]}
    assert wide_rows(pages)[0][column] == word
    assert is_stale(pages) is stale


def test_a_refusal_is_told_with_envoys_reason() -> None:
    pages = {"istiod-1": [entry(rejections={"rds": {"version": "2", "message": "bad regex"}})]}
    assert wide_rows(pages)[0][-1] == "rds: bad regex"


def test_a_sidecar_that_holds_what_it_was_told_matches_whatever_it_holds_besides() -> None:
    told = Dump(clusters=({"name": "a"},), routes=({"name": "80"},))
    held = Dump(clusters=({"name": "a"}, {"name": "of the bootstrap"}), routes=({"name": "80"},))
    assert compare(told, held) == "Clusters Match\nListeners Match\nRoutes Match\n"


def test_hosts_that_came_one_by_one_match_in_any_order() -> None:
    told = Dump(routes=({"name": "80", "virtual_hosts": [{"name": "a"}, {"name": "b"}]},))
    held = Dump(routes=({"name": "80", "vhds": {}, "virtual_hosts": [{"name": "b"}, {"name": "a"}]},))
    assert compare(told, held).endswith("Routes Match\n")


def test_a_number_matches_in_either_spelling_and_another_number_does_not() -> None:
    told = Dump(listeners=({"name": "a", "tracing": [{"value": 100.0}]},))
    assert "Listeners Match" in compare(told, Dump(listeners=({"name": "a", "tracing": [{"value": 100}]},)))
    assert "Listeners Match" not in compare(told, Dump(listeners=({"name": "a", "tracing": [{"value": 1}]},)))


def test_what_differs_is_shown_as_a_diff_and_what_is_missing_by_name() -> None:
    told = Dump(clusters=({"name": "a", "type": "EDS"}, {"name": "b"}))
    text = compare(told, Dump(clusters=({"name": "a", "type": "STATIC"},)))
    assert '-  "type": "EDS"\n+  "type": "STATIC"' in text
    assert "- b is not in Envoy" in text


@pytest.mark.parametrize(("name", "place"), [("a", ("shop", "a")), ("a.b", ("b", "a")), ("b/a", ("b", "a"))])
def test_a_pod_is_named_in_three_ways(name: str, place: tuple[str, str]) -> None:
    assert split_name(name, "shop") == place
