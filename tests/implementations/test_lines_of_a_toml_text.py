"""Every key and list element of a TOML text is found at its line."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh.implementations.positions import dotted, line_of, positions

TEXT = '''\
a = 1 # one
"b c".d = [ # two
  "x=]", """
  a = 5
""",
  { e = 1, 'f.g' = ['h', [1, 2]] },
]

[t.u]
v = \'\'\'
[w]
x = 1\'\'\'
y = 2

[[z]]
k = 1
[[z]]
k = 1979-05-27 07:32:00
'''


def test_each_kind_of_value_is_passed_over_and_each_key_is_at_its_line():
    found = {dotted(path): line for path, line in positions(TEXT).items()}

    assert found == {
        "a": 1,
        '"b c"': 2,
        '"b c".d': 2,
        '"b c".d[0]': 3,
        '"b c".d[1]': 3,
        '"b c".d[2]': 6,
        '"b c".d[2].e': 6,
        '"b c".d[2]."f.g"': 6,
        '"b c".d[2]."f.g"[0]': 6,
        '"b c".d[2]."f.g"[1]': 6,
        '"b c".d[2]."f.g"[1][0]': 6,
        '"b c".d[2]."f.g"[1][1]': 6,
        "t.u": 9,
        "t.u.v": 10,
        "t.u.y": 13,
        "z": 15,
        "z[0]": 15,
        "z[0].k": 16,
        "z[1]": 17,
        "z[1].k": 18,
    }


def test_what_is_not_there_is_told_at_what_is_around_it():
    found = positions(TEXT)

    assert line_of(found, ("t", "u", "missing")) == 9
    assert line_of(found, ("nothing", "at", "all")) == 1


KEYS = st.text("ab-_. =\"#['", min_size=1, max_size=4)
STRINGS = st.text("ab\"'\\#=[]{},\n ", max_size=6)
VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), STRINGS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=5,
)


def written(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
        return '"' + "".join(escapes.get(one, one) for one in value) + '"'
    if isinstance(value, list):
        return "[ # ]\n" + "".join(f"{written(one)} , # [\n" for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(name)} = {written(one)}" for name, one in value.items()) + "}"
    return str(value)


def paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in items:
        yield from paths(one, (*path, name))


@settings(max_examples=30)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=4, unique_by=lambda pair: pair[0]))
def test_every_path_of_a_document_is_found_and_no_other(pairs):
    lines, text = {}, ""
    for name, value in pairs:
        lines[name] = text.count("\n") + 1
        text += f"{written(name)} = {written(value)}\n# {written(name)} = 0\n"

    found = positions(text)

    assert set(found) == set(paths(tomllib.loads(text))) - {()}
    assert {path[0]: line for path, line in found.items() if len(path) == 1} == lines
