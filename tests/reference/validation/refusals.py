"""What an API server says when it refuses a document, reduced to what `refmesh validate` says of it.

Both name a field and say a sentence. The API server wraps them, and this is all that is taken off:

* around a webhook's refusal: ``admission webhook "..." denied the request: configuration is invalid: ``;
* around a field of the CRD's schema or CEL: ``Invalid value: ...: `` and ``PATH in body ``;
* around a rule that could not be evaluated: ``... evaluating rule: ``;
* around an unknown field: ``... strict decoding error: ``;
* in paths, the brackets of a map's key: ``labels[a]`` and ``labels.a`` are the same place;
* its note that the rest was not checked.

The field that it names may enclose ours: CEL judges a map and cannot point at a key. Our sentence may go on, with a
hint in brackets: CEL's are fixed, or cost too much to make.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mesh_reference.documents import render
from mesh_reference.validation.findings import Finding

Said = frozenset[tuple[str, str]]

_WEBHOOK = re.compile(
    r'admission webhook "[^"]+" denied the request: configuration is invalid: (?:\d+ errors occurred:)?'
)
_VALUE = re.compile(r'Invalid value: (?:"(?:[^"\\]|\\.)*"|[^" ][^ ]*): (?=\D)')
_IN_BODY = re.compile(r'(?:"([^"]+)"|(\S+) in body) (?=must|should)')
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')
_ID = re.compile(r"(.*) \[([\w-]+)\]", re.DOTALL)
_COMMA = re.compile(r", (?=(?:spec|metadata|<nil>)[^ ]*: )")
_NOTE = "some validation rules were not checked"


def said(message: str) -> Said:
    """(field, sentence) of each complaint of a Status's message, or of what kubectl makes of it."""
    if (webhook := _WEBHOOK.search(message)) is not None:
        lines = [line.strip().removeprefix("* ") for line in message[webhook.end() :].splitlines()]
        return frozenset(_parts(line) for line in lines if line)
    if "strict decoding error: " in message:
        found = _UNKNOWN.finditer(message.partition("strict decoding error: ")[2])
        return frozenset((place(one[1]), one[0]) for one in found)
    listed = message.partition(" is invalid: ")[2].strip()
    if listed.startswith("* "):
        complaints = [line.removeprefix("* ") for line in listed.splitlines()]
    else:
        complaints = _COMMA.split(listed[1:-1]) if listed.startswith("[") else [listed]
    return frozenset(_complaint(one) for one in complaints if _NOTE not in one)


def _parts(line: str) -> tuple[str, str]:
    field, _, sentence = line.partition(": ")
    return place(field), sentence


def _complaint(text: str) -> tuple[str, str]:
    field, sentence = _parts(text)
    sentence = _VALUE.sub("", sentence, count=1)
    if (within := _IN_BODY.match(sentence)) is not None:
        field, sentence = place(within[1] or within[2]), sentence[within.end() :]
    return field, sentence.rpartition(" evaluating rule: ")[2]


def place(field: str) -> str:
    """A path in which nothing but dots divides."""
    return field.replace("[", ".").replace("]", "")


def agrees(told: Said, found: Iterable[Finding]) -> bool:
    """Whether the API server says one of our sentences, and nothing about any other place."""
    ours = [(place(render(one.path)), one) for one in found]
    return any(_same(sentence, one) for _, sentence in told for _, one in ours) and all(
        any(f"{at}.".startswith(f"{field}.") for at, _ in ours) for field, _ in told
    )


def _same(sentence: str, ours: Finding) -> bool:
    """The rule's id is ours too, where the API server has one; our sentence may go on with a hint in brackets."""
    identified = _ID.fullmatch(sentence)
    if identified and identified[2] != ours.rule:
        return False
    words = identified[1] if identified else sentence
    return ours.message == words or ours.message.startswith(f"{words} (")
