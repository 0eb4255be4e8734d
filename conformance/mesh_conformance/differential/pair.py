"""Two meshes, the same cells and the same requests in the same order: every difference in what comes of a request.

It asks and compares; what a difference is, is ``pytest_mesh.differential``'s to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from mesh_conformance.differential.side import Asked, Side
from pytest_mesh.differential import known, shares
from pytest_mesh.differential.answers import Answer, refused
from pytest_mesh.differential.findings import Difference, contrast, projected
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.outcomes import Prediction
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.cells import Cell, Sent

T = TypeVar("T")

REPEATS = 2
_DRAWS = (24, 48, 96, 192)
"""Requests of one draw; the last one is repeated."""

Place = tuple[int, Sent]
"""A cell's index in the push, and the request."""


@dataclass(slots=True)
class _Sample:
    """Answers of both meshes to one request."""

    place: Place
    prediction: Prediction
    answers: tuple[Counter[Answer], Counter[Answer]]
    verdicts: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))


@dataclass(slots=True)
class Pair:
    """Two sides and what is known of their differences."""

    first: Side
    second: Side
    known: tuple[known.Known, ...] = ()
    explained: Counter[str] = field(default_factory=Counter)
    """By entry: requests whose difference it explains."""
    sampled: int = 0
    """Requests that were drawn until a verdict on their shares."""
    undecided: int = 0

    def both(self, one: Callable[[], T], other: Callable[[], T]) -> tuple[T, T]:
        """Do two things at once."""
        with ThreadPoolExecutor(2) as threads:
            left, right = threads.submit(one), threads.submit(other)
            return left.result(), right.result()

    def push(self, cells: Sequence[Cell]) -> None:
        """Bring the same cells to both."""
        self.both(partial(self.first.push, cells), partial(self.second.push, cells))

    def differences(self, cells: Sequence[Cell], *, repeats: int = REPEATS, draw: bool = True) -> list[Difference]:
        """Push cells, send their requests so many times, and give what differs and is not known; ``draw`` = shares too."""
        if not cells:
            return []
        self.push(cells)
        found = self._refusals(cells)
        places = [
            (index, sent)
            for index, cell in enumerate(cells)
            if index not in self.first.refused and index not in self.second.refused
            for sent in cell.requests
        ]
        samples = self._ask(cells, places, repeats)
        suspects = [one for one in samples if self._is_suspect(cells, one)]
        drawn = {id(one) for one in suspects}
        if draw:
            suspects += [one for one in _one_of_each_split(samples) if id(one) not in drawn]
        found += self._draw(cells, suspects) if draw else self._told(cells, suspects)
        found += self._against_the_oracle(cells, samples)
        return found

    # ------------------------------------------------------------ inside

    def _refusals(self, cells: Sequence[Cell]) -> list[Difference]:
        found = []
        for index in sorted(self.first.refused.keys() ^ self.second.refused.keys()):
            cell = cells[index]
            answers = tuple(
                refused(side.refused[index]) if index in side.refused else Answer(aspects=())
                for side in (self.first, self.second)
            )
            differences = contrast(Counter([answers[0]]), Counter([answers[1]]))
            left = self._unexplained(cell, differences)
            if left:
                only = Cell(http=cell.http, requests=cell.requests[:1])
                found.append(Difference(cell=only, aspects=left, oracle="", kind="validation"))
        return found

    def _ask(self, cells: Sequence[Cell], places: Sequence[Place], repeats: int) -> list[_Sample]:
        predictions = self._predictions(cells, places)
        samples = [
            _Sample(place=place, prediction=prediction, answers=(Counter(), Counter()))
            for place, prediction in zip(places, predictions, strict=True)
        ]
        self._gather(samples, repeats)
        return samples

    def _gather(self, samples: Sequence[_Sample], times: int) -> None:
        """Send each sample's request so many times to both, and count what came."""

        def asked(side: Side) -> list[Asked]:
            return side.ask(
                [one.place[1].request(side.host(one.place[0]), cast.TARGET) for _ in range(times) for one in samples]
            )

        came = self.both(partial(asked, self.first), partial(asked, self.second))
        for number, (side, answers) in enumerate(zip((self.first, self.second), came, strict=True)):
            for place, one in enumerate(answers):
                sample = samples[place % len(samples)]
                sample.answers[number][side.answer(one)] += 1
                verdict = judge(sample.prediction, one.observation) if number else None
                if verdict is not None and not verdict.allowed:
                    sample.verdicts[number].append("; ".join(verdict.differences))

    def _is_suspect(self, cells: Sequence[Cell], sample: _Sample) -> bool:
        one, other = sample.answers
        if len(one.keys() | other.keys()) == 1:
            return False
        cell = cells[sample.place[0]]
        if len(one) == len(other) == 1 and len(sample.prediction.outcomes) == 1:
            return bool(self._unexplained(cell, contrast(one, other)))
        return True

    def _unexplained(self, cell: Cell, differences: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        for name in known.explaining(self.known, cell.http, differences):
            self.explained[name] += 1
        return known.unexplained(self.known, cell.http, differences)

    def _draw(self, cells: Sequence[Cell], suspects: Sequence[_Sample]) -> list[Difference]:
        pending, found = list(suspects), []
        self.sampled += len(pending)
        for sample in pending:
            ignored = known.ignored(self.known, cells[sample.place[0]].http)
            for number in (0, 1):
                counts = sample.answers[number]
                kept = projected(counts, ignored)
                counts.clear()
                counts.update(kept)
        turn = 0
        while pending:
            draw = _DRAWS[min(turn, len(_DRAWS) - 1)]
            self._gather(pending, draw)
            turn += 1
            left = []
            for sample in pending:
                ignored = known.ignored(self.known, cells[sample.place[0]].http)
                one, other = (projected(counts, ignored) for counts in sample.answers)
                compared = shares.compare(one, other)
                if compared.decision == "different":
                    found += self._told(cells, [sample])
                elif compared.decision == "undecided":
                    if min(compared.drawn) < shares.CAP:
                        left.append(sample)
                    else:
                        self.undecided += 1
            pending = left
        return found

    def _told(self, cells: Sequence[Cell], samples: Sequence[_Sample]) -> list[Difference]:
        found = []
        for sample in samples:
            index, sent = sample.place
            cell = Cell(http=cells[index].http, requests=(sent,))
            ignored = known.ignored(self.known, cell.http)
            one, other = (projected(counts, ignored) for counts in sample.answers)
            left = self._unexplained(cell, contrast(one, other))
            if left:
                found.append(
                    Difference(
                        cell=cell,
                        aspects=left,
                        oracle=sample.prediction.explain(),
                        kind="shares" if set(left) == {"shares"} else "answers",
                        answers=(_common(one), _common(other)),
                        counts=(sum(one.values()), sum(other.values())),
                    )
                )
        return found

    def _against_the_oracle(self, cells: Sequence[Cell], samples: Sequence[_Sample]) -> list[Difference]:
        """Give what the second mesh did and the oracle does not allow."""
        found = []
        for sample in samples:
            index, sent = sample.place
            if sample.verdicts[1]:
                cell = Cell(http=cells[index].http, requests=(sent,))
                left = self._unexplained(cell, {"oracle": (sample.verdicts[1][0], "")})
                if left:
                    found.append(Difference(cell=cell, aspects=left, oracle=sample.prediction.explain(), kind="oracle"))
        return found

    def _predictions(self, cells: Sequence[Cell], places: Sequence[Place]) -> list[Prediction]:
        """Ask the oracle, in the second side's namespace; a cell meets no other's host, so each has a world of its own."""
        side = self.second
        stage = [(one, "") for one in cast.documents(side.namespace.name)]
        worlds = {
            index: read_world([*stage, (side.document(index, cells[index]), "")], namespace=side.namespace.name)
            for index in {index for index, _ in places}
        }
        return [
            predict(worlds[index], side.source, sent.request(side.host(index), cast.TARGET)) for index, sent in places
        ]


def _one_of_each_split(samples: Sequence[_Sample]) -> list[_Sample]:
    """Give one request for each route of a cell that may go several ways."""
    found: dict[tuple[object, ...], _Sample] = {}
    for one in samples:
        outcomes = one.prediction.outcomes
        if len(outcomes) > 1:
            ways = tuple((way.host, way.subset, way.port, way.status, way.probability) for way in outcomes)
            found.setdefault((one.place[0], ways), one)
    return list(found.values())


def _common(counts: Counter[Answer]) -> str:
    return str(counts.most_common(1)[0][0]) if counts else ""
