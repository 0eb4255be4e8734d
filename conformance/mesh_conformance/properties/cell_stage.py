"""Carries cells to the mesh and back: one push, an epoch gate per host, one call for all requests, the oracle's verdict.

It does not generate cells and it does not make them smaller.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_mesh.contracts import Batch, Json, Observation, Request
from pytest_mesh.failures import NotConverged
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.oracle.judging import Verdict, judge
from pytest_mesh.oracle.model import Source
from pytest_mesh.oracle.outcomes import Prediction
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.cells import Cell, Sent
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.epoch import EPOCH_HEADER

CLIENT = "client"
PRINTED_HOST = "cell.test"
_GATE_PATH = "/mesh-epoch"
_CONNECTIONS = 8
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An answer that the oracle does not allow."""

    cell: Cell
    """With the one request that shows it."""
    observation: Observation
    verdict: Verdict
    prediction: Prediction

    @property
    def request(self) -> Sent:
        return self.cell.requests[0]


class CellStage:
    """A namespace in which cells are tried; each has a VirtualService and a host of its own, that is no Service."""

    def __init__(self, namespace: MeshNamespace, client: Client) -> None:
        self.namespace = namespace
        self.client = client
        self.pushes = 0
        self.requests = 0
        self._budget = namespace.settings.convergence_seconds or namespace.implementation.convergence_seconds

    def disagreements(self, cells: Sequence[Cell], *, repeats: int) -> list[Disagreement]:
        """Push the cells, send each request so many times, and give the first disagreement of each request."""
        if not cells:
            return []
        self._push(cells)
        return self._ask(cells, repeats)

    def persistence(self, found: Disagreement, times: int) -> int:
        """Push one cell again and say how many of so many more answers are not allowed either."""
        self._push([found.cell])
        return sum(not verdict.allowed for _, _, verdict, _ in self._verdicts([found.cell], times))

    def printed(self, found: Disagreement) -> tuple[Json, Prediction]:
        """Give the document and the prediction as they are printed: without the gate's route, where that is no matter."""
        for first in (None, _gate("epoch")):
            document = found.cell.virtual_service("cell", PRINTED_HOST, first=first)
            prediction = self._predict([document], [(0, found.request.request(PRINTED_HOST, cast.TARGET))])[0]
            if not judge(prediction, found.observation).allowed:
                break
        return document, prediction

    @property
    def source(self) -> Source:
        """The client, as the oracle is told of it."""
        return Source(namespace=self.namespace.name, labels={"app": CLIENT, "version": "client"})

    def send(self, requests: Sequence[Request], *, count: int = 1) -> list[Observation]:
        """Send requests so many times each; observations keep the index of their request."""
        return self.client.observe(Batch(requests=tuple(requests), count=count, connections=_CONNECTIONS))

    def answers(self, cells: Sequence[Cell]) -> dict[tuple[int, Sent], Observation]:
        """Push the cells, each on a host of its own, and send each request once; by place and request."""
        self._push(cells)
        return self._answers([(self.host(index), cell) for index, cell in enumerate(cells)])

    def answers_of_pairs(self, cells: Sequence[Cell]) -> dict[tuple[int, Sent], Observation]:
        """As :meth:`answers`, of two hosts per cell in one VirtualService; places are 0 and 1 for the first, 2 and 3 ..."""
        self.pushes += 1
        stamp = secrets.token_hex(4)
        hosts = [self.pair_host(place) for place in range(2 * len(cells))]
        documents = []
        for index, cell in enumerate(cells):
            document = cell.virtual_service(f"pair-{index}", hosts[2 * index], first=_gate(stamp))
            document["spec"]["hosts"] = hosts[2 * index : 2 * index + 2]
            documents.append(document)
        self.namespace.apply(documents, wait=False)
        self._pass_gate(hosts, stamp)
        return self._answers([(host, cells[place // 2]) for place, host in enumerate(hosts)])

    def pair_host(self, place: int) -> str:
        """Give the host at this place of :meth:`answers_of_pairs`."""
        return f"pair-{place}.{self.namespace.name}.test"

    def host(self, index: int) -> str:
        """Give the host of the cell at this place of a push."""
        return f"cell-{index}.{self.namespace.name}.test"

    def pass_sentinel(self) -> None:
        """Apply one more VirtualService and wait for it: what was applied before it came to the proxy before it.

        For documents that cannot all be met, because rivals hide some of them.
        """
        self._push([Cell(http=({"directResponse": {"status": 200}},))])

    # ------------------------------------------------------------ inside

    def _push(self, cells: Sequence[Cell]) -> None:
        self.pushes += 1
        stamp = secrets.token_hex(4)
        self.namespace.apply(
            [
                cell.virtual_service(_name(index), self.host(index), first=_gate(stamp))
                for index, cell in enumerate(cells)
            ],
            wait=False,
        )
        self._pass_gate([self.host(index) for index in range(len(cells))], stamp)

    def _pass_gate(self, hosts: Sequence[str], stamp: str) -> None:
        waiting = list(hosts)
        deadline = time.monotonic() + self._budget
        while waiting:
            probes = [Sent(path=_GATE_PATH).request(host, cast.TARGET) for host in waiting]
            met = {waiting[one.request] for one in self.send(probes) if (EPOCH_HEADER, stamp) in one.headers}
            waiting = [host for host in waiting if host not in met]
            if waiting and time.monotonic() > deadline:
                raise NotConverged(
                    f"{len(waiting)} of {len(hosts)} hosts are not routed after {self._budget:g} s; "
                    f"the gate of the first, GET http://{waiting[0]}{_GATE_PATH}, must answer {EPOCH_HEADER}: {stamp}"
                )
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _ask(self, cells: Sequence[Cell], repeats: int) -> list[Disagreement]:
        found: dict[tuple[int, Sent], Disagreement] = {}
        for (index, sent), observation, verdict, prediction in self._verdicts(cells, repeats):
            if not verdict.allowed:
                found.setdefault(
                    (index, sent),
                    Disagreement(
                        cell=Cell(http=cells[index].http, requests=(sent,)),
                        observation=observation,
                        verdict=verdict,
                        prediction=prediction,
                    ),
                )
        return list(found.values())

    def _verdicts(
        self, cells: Sequence[Cell], repeats: int
    ) -> list[tuple[tuple[int, Sent], Observation, Verdict, Prediction]]:
        asked = [(index, sent) for index, cell in enumerate(cells) for sent in cell.requests]
        requests = tuple(sent.request(self.host(index), cast.TARGET) for index, sent in asked)
        documents = [
            cell.virtual_service("cell", self.host(index), first=_gate("")) for index, cell in enumerate(cells)
        ]
        indices = [index for index, _ in asked]
        predictions = self._predict(documents, list(zip(indices, requests, strict=True)))
        batch = Batch(requests=requests, count=repeats, connections=_CONNECTIONS)
        self.requests += repeats * len(requests)
        out = []
        for observation in self.client.observe(batch):
            prediction = predictions[observation.request]
            out.append((asked[observation.request], observation, judge(prediction, observation), prediction))
        return out

    def _predict(self, cells: Sequence[Json], requests: Sequence[tuple[int, Request]]) -> list[Prediction]:
        """Ask the oracle; no cell meets another's host, so each is asked about in a world of its own."""
        namespace = self.namespace.name
        stage = [(one, "") for one in cast.documents(namespace)]
        worlds = [read_world([*stage, (document, "")], namespace=namespace) for document in cells]
        return [predict(worlds[index], self.source, request) for index, request in requests]

    def _answers(self, asked: Sequence[tuple[str, Cell]]) -> dict[tuple[int, Sent], Observation]:
        places = [(place, sent) for place, (_, cell) in enumerate(asked) for sent in cell.requests]
        self.requests += len(places)
        found = self.send([sent.request(asked[place][0], cast.TARGET) for place, sent in places])
        return {places[observation.request]: observation for observation in found}


def _gate(stamp: str) -> Json:
    """Give the route that proves that a cell's document is in force; no request of a cell takes it."""
    return {
        "match": [{"uri": {"exact": _GATE_PATH}}],
        "directResponse": {"status": 200},
        "headers": {"response": {"set": {EPOCH_HEADER: stamp}}},
    }


def _name(index: int) -> str:
    return f"cell-{index}"
