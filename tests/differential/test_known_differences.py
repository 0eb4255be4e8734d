"""The list of known differences: what an entry takes in, and what is no entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_mesh import documents
from pytest_mesh.differential.known import KnownDifferencesError, explaining, ignored, is_stale, read, unexplained

LIST = Path(__file__).parents[1] / "e2e" / "known_differences.yaml"
HTTP = ({"route": [{"destination": {"host": "a"}}], "rewrite": {"uri": "/new"}},)
CASE = {
    "format": 1,
    "http": [{"directResponse": {"status": 200}}],
    "requests": [{"method": "GET", "path": "/", "authority": "{host}", "headers": []}],
}


def entry(**changes: Any) -> dict[str, Any]:
    found = {
        "id": "server",
        "reason": "it says so",
        "link": "https://example.com/1",
        "aspects": ["response header server"],
        "case": CASE,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def entries(*found: dict[str, Any]) -> Any:
    return read({"format": 1, "differences": list(found)}, "known.yaml")


DIFFERENCES = {"response header server": ("istio-envoy", "envoy"), "status": ("200", "503")}


def test_what_an_entry_names_is_explained_and_nothing_else() -> None:
    known = entries(entry())
    assert unexplained(known, HTTP, DIFFERENCES) == {"status": ("200", "503")}
    assert explaining(known, HTTP, DIFFERENCES) == {"server"}


@pytest.mark.parametrize(
    ("changes", "explained"),
    [
        ({"aspects": ["response header *"]}, True),
        ({"aspects": ["response header x-*"]}, False),
        ({"one": "^istio", "other": "envoy$"}, True),
        ({"one": "^envoy"}, False),
        ({"fields": ["rewrite.uri"]}, True),
        ({"fields": ["rewrite.authority"]}, False),
        ({"fields": ["route.destination.host", "rewrite"]}, True),
    ],
)
def test_an_entry_takes_in_what_all_of_its_conditions_say(changes: dict[str, Any], explained: bool) -> None:
    assert ("response header server" not in unexplained(entries(entry(**changes)), HTTP, DIFFERENCES)) is explained


def test_only_an_entry_for_any_value_makes_samples_alike() -> None:
    assert ignored(entries(entry()), HTTP) == {"response header server"}
    assert ignored(entries(entry(one="istio")), HTTP) == frozenset()
    assert ignored(entries(entry(fields=["mirror"])), HTTP) == frozenset()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"reason": None}, "reason is required"),
        ({"link": ""}, "link is required"),
        ({"link": "somewhere"}, "link: must be a URL or a page"),
        ({"aspects": []}, "aspects is required"),
        ({"case": None}, "case is required"),
        ({"case": {**CASE, "format": 99}}, "another version"),
        ({"case": {**CASE, "requests": []}}, "one request"),
        ({"one": "("}, "unterminated"),
        ({"aspect": "x"}, "aspect is not known"),
    ],
)
def test_an_entry_that_does_not_say_what_it_must_is_refused_by_name(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(KnownDifferencesError, match=rule):
        entries(entry(**changes))


def test_an_entry_is_stale_when_its_case_shows_nothing_of_it_any_more() -> None:
    (one,) = entries(entry())
    assert not is_stale(one, [DIFFERENCES])
    assert is_stale(one, [])
    assert is_stale(one, [{"status": ("200", "503")}])


def test_two_entries_have_two_names() -> None:
    with pytest.raises(KnownDifferencesError, match="server: the id is there twice"):
        entries(entry(), entry())


@pytest.mark.parametrize(
    "data", [None, [], {"format": 2}, {"format": 1, "differences": "x"}, {"format": 1, "differences": [1]}]
)
def test_a_file_of_another_form_is_refused(data: Any) -> None:
    with pytest.raises(KnownDifferencesError, match=r"known\.yaml"):
        read(data, "known.yaml")


def test_the_list_of_the_repository_can_be_read() -> None:
    read(documents.load(LIST.read_text(), source=str(LIST)), str(LIST))
