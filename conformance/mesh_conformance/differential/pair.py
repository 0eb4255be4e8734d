"""Two meshes, the same cells and the same requests in the same order: every difference in what comes of a request.

It asks and compares; what a difference is, is ``pytest_mesh.differential``'s to say.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from mesh_conformance.differential.side import Asked, Side
from pytest_mesh.contracts import Json, Request
from pytest_mesh.differential import known, shares
from pytest_mesh.differential.answers import Answer, refused
from pytest_mesh.differential.findings import Difference, contrast, projected, told_shares
from pytest_mesh.differential.known import Known
from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.model import World
from pytest_mesh.oracle.outcomes import Prediction
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.strategies import cast, widening
from pytest_mesh.strategies.cells import Cell, Sent

T = TypeVar("T")

REPEATS = 2
_FIRST_DRAW = 12
_DRAW = 32
"""Requests of one draw."""

Place = tuple[int, Sent]
"""A cell's index in the push, and the request."""


@dataclass(slots=True, eq=False)
class _Sample:
    """Answers of both meshes to one request."""

    place: Place
    prediction: Prediction | None
    """None = the oracle has no opinion."""
    answers: tuple[Counter[Answer], Counter[Answer]]
    verdicts: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))

    def projected(self, ignored: frozenset[str]) -> tuple[Counter[Answer], Counter[Answer]]:
        """Give the answers without aspects in which the meshes are known to differ."""
        return projected(self.answers[0], ignored), projected(self.answers[1], ignored)


@dataclass(slots=True)
class Pair:
    """Two sides and what is known of their differences."""

    first: Side
    second: Side
    known: tuple[Known, ...] = ()
    explained: Counter[str] = field(default_factory=Counter)
    """By entry: requests whose difference it explains."""
    sampled: int = 0
    """Requests that were drawn until a verdict on their shares."""
    undecided: int = 0
    refusals: int = 0
    """Cells that neither mesh took."""
    opinions: int = 0
    """Requests of which the oracle says what may come."""
    seconds: Counter[str] = field(default_factory=Counter)
    """By what was done."""

    def figures(self) -> Json:
        """Give what was done, for a report."""
        return {
            "requests": self.first.requests,
            "pushes": self.first.pushes,
            "judgedByTheOracle": self.opinions,
            "refusedByBoth": self.refusals,
            "sampled": self.sampled,
            "undecided": self.undecided,
            "explained": dict(self.explained),
        }

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
        with self._timed("pushes"):
            self.push(cells)
        found = self._refusals(cells)
        places = [
            (index, sent)
            for index, cell in enumerate(cells)
            if index not in self.first.refused and index not in self.second.refused
            for sent in cell.requests
        ]
        with self._timed("requests"):
            samples = self._ask(cells, places, repeats)
        suspects = [one for one in samples if self._is_suspect(cells, one)]
        if draw:
            suspects = _one_of_each_split(samples, suspects)
        else:
            suspects = [one for one in suspects if _ways(one) is None or not _differ_by_way(one)]
        found += self._draw(cells, suspects) if draw else self._told(cells, suspects)
        found += self._against_the_oracle(cells, samples)
        return found

    def probe(self, found: Difference, times: int) -> int:
        """Push one cell again and say how many of so many more answers of each differ in the same aspects."""
        self.push([found.cell])
        if self.first.refused or self.second.refused:
            return times if found.kind == "validation" else 0
        samples = [sample for _ in range(times) for sample in self._ask([found.cell], [(0, found.request)], 1)]
        told = [*self._told([found.cell], samples), *self._against_the_oracle([found.cell], samples)]
        return sum(one.signature == found.signature for one in told)

    def stale(self) -> list[Known]:
        """Try the case of every known difference; give the entries that nothing is left of."""
        plain = Pair(first=self.first, second=self.second)
        cases = [one.case for one in self.known]
        found = plain.differences(cases, draw=False) if cases else []
        return [
            one
            for one in self.known
            if known.is_stale(one, [difference.aspects for difference in found if difference.cell == one.case])
        ]

    # ------------------------------------------------------------ inside

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] += time.monotonic() - began  # type: ignore[assignment]

    def _refusals(self, cells: Sequence[Cell]) -> list[Difference]:
        found = []
        self.refusals += len(self.first.refused.keys() & self.second.refused.keys())
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
                verdict = judge(sample.prediction, one.observation) if number and sample.prediction else None
                if verdict is not None and not verdict.allowed:
                    sample.verdicts[number].append("; ".join(verdict.differences))

    def _is_suspect(self, cells: Sequence[Cell], sample: _Sample) -> bool:
        one, other = sample.answers
        if len(one.keys() | other.keys()) == 1:
            return False
        cell = cells[sample.place[0]]
        if len(one) == len(other) == 1 and (sample.prediction is None or sample.prediction.certain):
            return bool(self._unexplained(cell, contrast(one, other)))
        return True

    def _unexplained(self, cell: Cell, differences: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        for name in known.explaining(self.known, cell.http, differences):
            self.explained[name] += 1
        return known.unexplained(self.known, cell.http, differences)

    def _draw(self, cells: Sequence[Cell], suspects: Sequence[_Sample]) -> list[Difference]:
        """Send each request until the shares of its answers are the same or different; give the different ones."""
        self.sampled += len(suspects)
        found: list[Difference] = []
        pending = list(suspects)
        with self._timed("draws"):
            while pending:
                self._gather(pending, _FIRST_DRAW)
                pending = [
                    one for one in pending if self._is_open(cells, one, one.projected(self._ignored(cells, one)), found)
                ]
                plain = [one for one in pending if _is_plain(one.projected(self._ignored(cells, one)))]
                self._count(cells, plain, found)
                pending = [one for one in pending if one not in plain]
        return found

    def _count(self, cells: Sequence[Cell], samples: Sequence[_Sample], found: list[Difference]) -> None:
        """Go on with requests whose answers are told apart by version and status alone: counting them is faster."""
        counted = {id(one): _both_coarse(one.projected(self._ignored(cells, one))) for one in samples}
        pending = list(samples)
        while pending:

            def drawn(side: Side, asked: Sequence[_Sample] = tuple(pending)) -> list[Counter[str]]:
                return [side.count(one.place[1].request(side.host(one.place[0]), cast.TARGET), _DRAW) for one in asked]

            for number, counts in enumerate(self.both(partial(drawn, self.first), partial(drawn, self.second))):
                for sample, more in zip(pending, counts, strict=True):
                    counted[id(sample)][number].update(more)
            pending = [one for one in pending if self._is_open(cells, one, counted[id(one)], found)]

    def _is_open(
        self,
        cells: Sequence[Cell],
        sample: _Sample,
        counts: tuple[Counter[Any], Counter[Any]],
        found: list[Difference],
    ) -> bool:
        """Whether more has to be drawn; a difference goes into ``found``."""
        compared = shares.compare(*counts)
        if compared.decision == "different":
            found += self._told(cells, [sample], counts)
        elif compared.decision == "undecided":
            if min(compared.drawn) < shares.CAP:
                return True
            self.undecided += 1
        return False

    def _ignored(self, cells: Sequence[Cell], sample: _Sample) -> frozenset[str]:
        return known.ignored(self.known, cells[sample.place[0]].http)

    def _told(
        self, cells: Sequence[Cell], samples: Sequence[_Sample], counts: tuple[Counter[Any], Counter[Any]] | None = None
    ) -> list[Difference]:
        """Give differences; of shares alone where the answers themselves are the same (``counts`` has their numbers)."""
        found = []
        for sample in samples:
            index, sent = sample.place
            cell = Cell(http=cells[index].http, requests=(sent,))
            one, other = sample.projected(known.ignored(self.known, cell.http))
            differences = contrast(one, other)
            if counts and (not differences or "shares" in differences):
                differences = {"shares": (told_shares(counts[0]), told_shares(counts[1]))}
            left = self._unexplained(cell, differences)
            if left:
                found.append(
                    Difference(
                        cell=cell,
                        aspects=left,
                        oracle=_opinion(sample.prediction),
                        kind="shares" if set(left) == {"shares"} else "answers",
                        answers=(_common(one), _common(other)),
                        counts=(counts[0].total(), counts[1].total()) if counts else (one.total(), other.total()),
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
                    found.append(Difference(cell=cell, aspects=left, oracle=_opinion(sample.prediction), kind="oracle"))
        return found

    def _predictions(self, cells: Sequence[Cell], places: Sequence[Place]) -> list[Prediction | None]:
        """Ask the oracle, in the second side's namespace; a cell meets no other's host, so each has a world of its own."""
        side = self.second
        stage = [(one, "") for one in cast.documents(side.namespace.name)]
        worlds: dict[int, World | None] = {}
        for index in {index for index, _ in places}:
            if widening.beyond_the_oracle(cells[index]):
                worlds[index] = None
                continue
            try:
                worlds[index] = read_world(
                    [*stage, (side.document(index, cells[index]), "")], namespace=side.namespace.name
                )
            except Unsupported:
                worlds[index] = None
        found = [self._prediction(worlds[index], sent.request(side.host(index), cast.TARGET)) for index, sent in places]
        self.opinions += sum(one is not None for one in found)
        return found

    def _prediction(self, world: World | None, request: Request) -> Prediction | None:
        try:
            return predict(world, self.second.source, request) if world else None
        except Unsupported:
            return None


def _one_of_each_split(samples: Sequence[_Sample], suspects: Sequence[_Sample]) -> list[_Sample]:
    """Give what is to be drawn: suspects, and one request for each route of a cell that may go several ways.

    Of suspects on one such route the first is enough where the others differ from each other by the way alone.
    """
    chosen: dict[tuple[object, ...], _Sample] = {}
    found: list[_Sample] = []
    for one in suspects:
        ways = _ways(one)
        if ways is None or not _differ_by_way(one):
            found.append(one)
        else:
            chosen.setdefault(ways, one)
    for one in samples:
        ways = _ways(one)
        if ways is not None:
            chosen.setdefault(ways, one)
    return [*found, *(one for one in chosen.values() if one not in found)]


def _ways(sample: _Sample) -> tuple[object, ...] | None:
    """Tell the route of a request that may go several ways; None where there is one way, or no opinion."""
    outcomes = sample.prediction.outcomes if sample.prediction else ()
    if len(outcomes) < 2:
        return None
    return (sample.place[0], *((way.host, way.subset, way.port, way.status, way.probability) for way in outcomes))


def _differ_by_way(sample: _Sample) -> bool:
    """Whether both meshes' answers are the same wherever both went the same way."""
    one, other = sample.answers
    both = set(_coarse(one)) & set(_coarse(other))
    return all(
        {kind for kind in one if _way(kind) == way} == {kind for kind in other if _way(kind) == way} for way in both
    )


def _opinion(prediction: Prediction | None) -> str:
    return prediction.explain() if prediction else "the oracle has no opinion"


def _coarse(counts: Counter[Answer]) -> Counter[str]:
    """Count answers as workloads count them."""
    found = Counter[str]()
    for answer, count in counts.items():
        found[_way(answer)] += count
    return found


def _way(answer: Answer) -> str:
    """Tell the version that answered, or the status that a proxy gave."""
    aspects = dict(answer.aspects)
    if "host" in aspects:
        return aspects["workload"].rpartition("-")[2]
    return f"status {aspects.get('status', aspects.get('failure'))}"


def _both_coarse(answers: tuple[Counter[Answer], Counter[Answer]]) -> tuple[Counter[str], Counter[str]]:
    return _coarse(answers[0]), _coarse(answers[1])


def _is_plain(counts: tuple[Counter[Answer], Counter[Answer]]) -> bool:
    """Whether each version and status has one and the same answer in both meshes."""
    kinds = counts[0].keys() | counts[1].keys()
    return len(kinds) == len(_coarse(Counter(kinds)))


def _common(counts: Counter[Answer]) -> str:
    return str(counts.most_common(1)[0][0]) if counts else ""
