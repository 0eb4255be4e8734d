"""SPIFFE IDs: the reader agrees with the grammar on any text, and says every rule that a text breaks."""

import re
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.spiffe import SpiffeId, SpiffeIdError, check_id, same

GRAMMAR = re.compile(r"spiffe://[a-z0-9._-]+(/(?!\.{1,2}(/|\Z))[a-zA-Z0-9._-]+)*", re.DOTALL)
"""Of SPIFFE-ID.md section 2, written a second time."""

PIECES = st.sampled_from(["spiffe://", "SPIFFE://", "http://", "td", "Td", "1.2.3.4", "[::1]", "a_b", "/", "//", "/.", "/..", "/...", "/a", "/A.b", "%2f", ":", ":80", "@", "?", "#", "\n", "\0", " ", "é", "\ud800", ""])  # fmt: skip
NAMES = st.text(alphabet=ascii_letters.lower() + digits + ".-_", min_size=1, max_size=30)
SEGMENTS = st.text(alphabet=ascii_letters + digits + ".-_", min_size=1, max_size=30).filter(
    lambda one: one not in {".", ".."}
)


@given(
    st.one_of(st.lists(PIECES, max_size=7).map("".join), st.text(max_size=30).map("spiffe://td/".__add__), st.text())
)
def test_a_text_breaks_a_must_exactly_when_it_is_outside_the_grammar(text: str) -> None:
    assert bool(violations(check_id(text))) == (GRAMMAR.fullmatch(text) is None)


@given(NAMES, st.lists(SEGMENTS, max_size=5))
def test_what_is_read_is_written_the_same(name: str, segments: list[str]) -> None:
    text = f"spiffe://{name}" + "".join(f"/{one}" for one in segments)
    parsed = SpiffeId.parse(text)
    assert str(parsed) == text
    assert parsed.trust_domain == name
    assert same(text, f"SPIFFE://{name.upper()}{parsed.path}")


def test_every_rule_that_a_text_breaks_is_told() -> None:
    found = {one.rule for one in check_id("spiffe://me@Ex%61mple.org:80/a//b/../é/?q#f")}
    assert found == {
        "ID-ASCII", "ID-NO-QUERY", "ID-NO-FRAGMENT", "ID-TD-NO-USERINFO", "ID-TD-NO-PORT", "ID-TD-NO-PCT", "ID-TD-LOWER",
        "ID-PATH-NO-EMPTY-SEG", "ID-PATH-NO-DOT-SEG", "ID-PATH-NO-TRAILING",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["spiffe://td/foo\n", "spiffe://td\n/foo", "spiffe://td/foo\r\n"])
def test_a_line_end_is_no_part_of_an_id(text: str) -> None:
    with pytest.raises(SpiffeIdError) as error:
        SpiffeId.parse(text)
    assert error.value.rule in {"ID-TD-CHARSET", "ID-PATH-CHARSET"}


def test_a_message_shows_a_bounded_piece_of_a_long_text() -> None:
    found = check_id("spiffe://td/" + "\x1b[31m" * 10_000)
    assert found
    assert all(len(one.message) < 300 and "\x1b" not in one.message for one in found)


def test_lengths_are_a_should_and_the_id_is_still_read() -> None:
    long = "spiffe://" + "a" * 300 + "/" + "b" * 2000
    assert {(one.rule, one.level) for one in check_id(long)} == {("ID-LEN-EMIT", "should"), ("ID-TD-LEN", "should")}
    assert SpiffeId.parse(long).trust_domain == "a" * 300
