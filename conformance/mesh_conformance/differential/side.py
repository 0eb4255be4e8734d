"""One of two meshes that are compared: its namespace with the cast in it, pushes, requests, and what its proxies logged.

It compares nothing and it judges nothing.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pytest_mesh.contracts import Batch, Json, Observation, Request
from pytest_mesh.differential.access_logs import Entry, entries
from pytest_mesh.differential.answers import Answer, answer_of, workload
from pytest_mesh.failures import Infrastructure, NotConverged
from pytest_mesh.implementations.beside import object_labels
from pytest_mesh.kube import KubeError
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.oracle.model import Source
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.cells import Cell, Sent
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.epoch import EPOCH_HEADER

CLIENT = "client"
_GATE_PATH = "/mesh-epoch"
_CONNECTIONS = 8
_WRITERS = 4
"""Documents that are applied at once."""
_POLL_SECONDS = 0.05
_PATIENCE = 4.0
"""Two meshes share the machine, and how fast they converge is not what is compared."""
_FLUSH_SECONDS = 1.2
"""How long a proxy may keep a line of its access log to itself."""
_LOG_SECONDS = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One sent request and all that is known of it."""

    observation: Observation
    client: tuple[Entry, ...] = ()
    arrivals: tuple[str, ...] = ()


@dataclass(slots=True)
class Side:
    """One mesh."""

    namespace: MeshNamespace
    client: Client
    workloads: Mapping[str, str]
    """Pods that requests may arrive at, and their Deployments."""
    pushes: int = 0
    requests: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    """Of the last push: cells that the mesh did not take, and why."""
    _stamp: str = ""

    @property
    def name(self) -> str:
        return self.namespace.implementation.name

    @property
    def source(self) -> Source:
        """The client, as the oracle is told of it."""
        return Source(namespace=self.namespace.name, labels={"app": CLIENT, "version": "client"})

    def host(self, index: int) -> str:
        """Give the host of the cell at this place of a push."""
        return f"cell-{index}.{self.namespace.name}.test"

    def document(self, index: int, cell: Cell, stamp: str = "") -> Json:
        """Give a cell's VirtualService, with the route that proves that it is in force."""
        made = cell.virtual_service(f"cell-{index}", self.host(index), first=_gate(stamp))
        labels = object_labels(self.namespace.implementation)
        return {**made, "metadata": {**made["metadata"], **({"labels": labels} if labels else {})}}

    def push(self, cells: Sequence[Cell]) -> None:
        """Apply the cells and wait until the client's proxy routes by each one that was taken."""
        self.pushes += 1
        self._stamp = secrets.token_hex(4)
        self.refused = {}
        with ThreadPoolExecutor(_WRITERS) as writers:
            documents = [self.document(index, cell, self._stamp) for index, cell in enumerate(cells)]
            for index, reason in enumerate(writers.map(self._apply, documents)):
                if reason:
                    self.refused[index] = reason
        self._pass_gate([index for index in range(len(cells)) if index not in self.refused])

    def apply(self, documents: Sequence[Json]) -> list[Json]:
        """Apply documents as the mesh's own, all at once; give what is stored."""
        labels = object_labels(self.namespace.implementation)
        owned = [
            {**one, "metadata": {**one["metadata"], "labels": {**one["metadata"].get("labels", {}), **labels}}}
            for one in documents
        ]
        with ThreadPoolExecutor(_WRITERS) as writers:
            return list(writers.map(lambda one: self.namespace.kube.apply(one, namespace=self.namespace.name), owned))

    def pass_sentinel(self) -> None:
        """Apply one more VirtualService and wait for it: what was applied before it came to the proxy before it."""
        self.push([Cell(http=({"directResponse": {"status": 200}},))])

    def ask(self, requests: Sequence[Request], *, logged: bool = True) -> list[Asked]:
        """Send each request once, in order; give what came of each, in the same order.

        ``logged`` = with what the proxies logged; of a connection that a proxy passes on they log no request.
        """
        if not requests:
            return []
        began = time.time()
        run = secrets.token_hex(4)
        named = [
            replace(one, headers=(*one.headers, ("x-request-id", f"{run}-{index}")))
            for index, one in enumerate(requests)
        ]
        self.requests += len(named)
        observations = {
            one.request: one for one in self.client.observe(Batch(requests=tuple(named), connections=_CONNECTIONS))
        }
        ended = time.monotonic()
        if not logged:
            return [Asked(observation=observations[index]) for index in range(len(named))]
        written, arrived = self._logged(run, observations, began, ended)
        return [
            Asked(
                observation=observations[index],
                client=tuple(written.get(f"{run}-{index}", ())),
                arrivals=tuple(arrived.get(f"{run}-{index}", ())),
            )
            for index in range(len(named))
        ]

    def count(self, request: Request, times: int) -> Counter[str]:
        """Send one request so many times; count answers by version, and what else came by what it was."""
        self.requests += times
        batch = Batch(requests=(request,), count=times, connections=_CONNECTIONS, record="counts")
        counts = self.client.counts(batch)
        return Counter({**counts.counts, **counts.failures})

    def reached(self, request: Request, times: int) -> frozenset[str]:
        """Open so many connections; give the versions that they came to, and in what way others failed."""
        self.requests += times
        batch = Batch(requests=(request,), count=times, connections=_CONNECTIONS, reuse=False, record="counts")
        counts = self.client.counts(batch)
        return frozenset({*counts.counts, *counts.failures})

    def answer(self, asked: Asked) -> Answer:
        """Give the form in which two meshes' answers are compared."""
        return answer_of(asked.observation, namespace=self.namespace.name, client=asked.client, arrivals=asked.arrivals)

    # ------------------------------------------------------------ inside

    def _apply(self, document: Json) -> str:
        try:
            self.namespace.kube.apply(document, namespace=self.namespace.name)
        except KubeError as error:
            if error.status >= 500 or error.status == 401:
                raise Infrastructure(f"{self.name}: {document['metadata']['name']}: {error.message}") from error
            return error.message
        return ""

    def _pass_gate(self, waiting: list[int]) -> None:
        budget = _PATIENCE * self.namespace.implementation.convergence_seconds
        deadline = time.monotonic() + budget
        while waiting:
            probes = [Sent(path=_GATE_PATH).request(self.host(index), cast.TARGET) for index in waiting]
            met = {
                waiting[one.request]
                for one in self.client.observe(Batch(requests=tuple(probes), connections=_CONNECTIONS))
                if (EPOCH_HEADER, self._stamp) in one.headers
            }
            waiting = [index for index in waiting if index not in met]
            if waiting and time.monotonic() > deadline:
                raise NotConverged(
                    f"{self.name}: {len(waiting)} VirtualServices do not route after {budget:g} s; the first is "
                    f"cell-{waiting[0]}, whose gate GET http://{self.host(waiting[0])}{_GATE_PATH} must answer "
                    f"{EPOCH_HEADER}: {self._stamp}"
                )
            if waiting:
                time.sleep(_POLL_SECONDS)

    def _logged(
        self, run: str, observations: Mapping[int, Observation], began: float, ended: float
    ) -> tuple[dict[str, list[Entry]], dict[str, list[str]]]:
        """Read what the proxies logged of a run's requests, once they have had time to; by ``x-request-id``."""
        deadline = time.monotonic() + _LOG_SECONDS
        since = datetime.fromtimestamp(began - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        wanted = {f"{run}-{index}" for index, one in observations.items() if one.status}
        answered = {
            (f"{run}-{index}", workload(one.echo.pod)) for index, one in observations.items() if one.echo is not None
        }
        while True:
            time.sleep(max(0.0, ended + _FLUSH_SECONDS - time.monotonic()))
            ended = time.monotonic()
            logged: dict[str, list[Entry]] = defaultdict(list)
            arrived: dict[str, list[str]] = defaultdict(list)
            for one in self._entries(self.client.pod, run, since):
                logged[one.id].append(one)
            for pod, deployment in self.workloads.items():
                for one in self._entries(pod, run, since):
                    if one.inbound:
                        arrived[one.id].append(deployment)
            seen = {(key, name) for key, names in arrived.items() for name in names}
            if wanted <= logged.keys() and answered <= seen:
                return logged, arrived
            if time.monotonic() > deadline:
                absent = sorted(wanted - logged.keys()) or sorted(key for key, _ in answered - seen)
                raise Infrastructure(
                    f"{self.name}: the proxies' access logs say nothing of {len(absent)} requests after "
                    f"{_LOG_SECONDS:g} s, {absent[0]} for one: the mesh must log to /dev/stdout in Istio's default format"
                )

    def _entries(self, pod: str, run: str, since: str) -> Iterable[Entry]:
        container = self.namespace.implementation.proxy_container
        path = f"/api/v1/namespaces/{self.namespace.name}/pods/{pod}/log"
        text = self.namespace.kube.request("GET", path, params={"container": container, "sinceTime": since})
        lines = text.decode("utf-8", "replace").splitlines()
        return entries(line for line in lines if run in line)


def _gate(stamp: str) -> Json:
    """Give the route that proves that a cell's document is in force; no request of a cell takes it."""
    return {
        "match": [{"uri": {"exact": _GATE_PATH}}],
        "directResponse": {"status": 200},
        "headers": {"response": {"set": {EPOCH_HEADER: stamp}}},
    }
