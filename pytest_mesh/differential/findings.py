"""A difference between two meshes: in which aspects, and how it is told. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.differential.answers import Answer, differing, nearest
from pytest_mesh.strategies.cells import HOST, Cell, Sent

PRINTED_HOST = "cell.test"

Kind = Literal["answers", "shares", "validation", "oracle"]
Aspects = dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two meshes do otherwise with one request; of kind ``oracle``: what the second does otherwise than predicted."""

    cell: Cell
    """With the one request that shows it."""
    aspects: Aspects
    """By aspect: the first mesh's value and the second's."""
    oracle: str
    """The oracle's opinion in words."""
    kind: Kind
    answers: tuple[str, str] = ("", "")
    """The most common answer of each, whole."""
    counts: tuple[int, int] = (1, 1)
    """Answers of each that were compared."""
    probes: tuple[int, int] = (0, 0)
    """Of so many more probes (second) so many (first) differed too."""

    @property
    def request(self) -> Sent:
        return self.cell.requests[0]

    @property
    def signature(self) -> tuple[str, ...]:
        """Which differences are likely one and the same."""
        return (self.kind, *sorted(self.aspects))

    def to_json(self, names: tuple[str, str]) -> Json:
        """Give the form of a report."""
        return {
            "kind": self.kind,
            "request": str(self.request).replace(HOST, PRINTED_HOST),
            "virtualService": self.cell.virtual_service("cell", PRINTED_HOST),
            "aspects": {name: dict(zip(names, values, strict=True)) for name, values in self.aspects.items()},
            "answers": dict(zip(names, self.answers, strict=True)),
            "compared": dict(zip(names, self.counts, strict=True)),
            "probes": {"differed": self.probes[0], "of": self.probes[1]},
            "oracle": self.oracle,
            "cell": self.cell.to_json(),
        }

    def told(self, names: tuple[str, str]) -> str:
        """Give it in words: the request, both values of each aspect, the VirtualService, the oracle's opinion."""
        width = max(map(len, names))
        document = self.cell.virtual_service("cell", PRINTED_HOST)
        return "\n".join(
            [
                f"{str(self.request).replace(HOST, PRINTED_HOST)} ({self._steadiness()}):",
                *(
                    line
                    for name, values in self.aspects.items()
                    for line in (
                        f"  {name}:",
                        *(f"    {who:<{width}}  {value}" for who, value in zip(names, values, strict=True) if value),
                    )
                ),
                "under this VirtualService:",
                *(f"  {line}" for line in documents.write(document).splitlines()),
                *(f"  {line}" for line in self.oracle.splitlines()),
            ]
        )

    def _steadiness(self) -> str:
        differed, probes = self.probes
        if not probes:
            return f"{self.counts[0]} and {self.counts[1]} answers compared"
        return f"{'every time' if differed == probes else 'not every time'}, {differed} of {probes} more probes"


def contrast(one: Counter[Answer], other: Counter[Answer]) -> Aspects:
    """Give the aspects in which two samples differ.

    Answers that only one has are paired with those that only the other has, the nearest first; what is left over may be
    rare and counts where there is no pair. Samples of the same answers differ in their shares.
    """
    here, there = one.keys() - other.keys(), other.keys() - one.keys()
    found: Aspects = {}
    for left, right in _pairs(here, there):
        for name, values in differing(left, right).items():
            found.setdefault(name, values)
    if not found and here and other:
        left = max(here, key=lambda answer: (one[answer], str(answer)))
        found = differing(left, nearest(left, other))
    elif not found and there and one:
        right = max(there, key=lambda answer: (other[answer], str(answer)))
        found = differing(nearest(right, one), right)
    elif not found and len(one) > 1:
        found["shares"] = (_shares(one), _shares(other))
    return found


def _pairs(here: Collection[Answer], there: Collection[Answer]) -> list[tuple[Answer, Answer]]:
    """Give pairs of each answer with one other, those that differ least first."""
    candidates = sorted(
        ((len(differing(left, right)), str(left), str(right), left, right) for left in here for right in there),
        key=lambda one: one[:3],
    )
    found: dict[Answer, Answer] = {}
    for _, _, _, left, right in candidates:
        if left not in found and right not in found.values():
            found[left] = right
    return list(found.items())


def projected(counts: Mapping[Answer, int], ignored: Collection[str]) -> Counter[Answer]:
    """Give a sample without some aspects."""
    if not ignored:
        return Counter(counts)
    found: Counter[Answer] = Counter()
    for answer, count in counts.items():
        found[without(answer, ignored)] += count
    return found


def without(answer: Answer, ignored: Collection[str]) -> Answer:
    """Give an answer without some aspects."""
    return Answer(aspects=tuple((name, value) for name, value in answer.aspects if name not in ignored))


def told_shares(counts: Mapping[str, int]) -> str:
    """Give shares in words."""
    total = sum(counts.values())
    return ", ".join(f"{100 * count / total:.1f} % {name}" for name, count in sorted(counts.items()))


def _shares(counts: Counter[Answer]) -> str:
    names = Counter[str]()
    for answer, count in counts.items():
        aspects = dict(answer.aspects)
        names[f"{aspects.get('cluster', '-')} {aspects.get('workload', '-')} {aspects.get('status', '-')}"] += count
    return told_shares(names)
