"""When a namespace's proxies have what was applied: its clients, the marked documents, the budget.

It decides nothing about routes (``traffic.epoch``, ``traffic.gate``); it knows whom to ask.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_mesh import readiness
from pytest_mesh.contracts import Implementation, Json
from pytest_mesh.failures import Infrastructure, hidden
from pytest_mesh.kube import Kube
from pytest_mesh.record import Record
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic import epoch
from pytest_mesh.traffic.client import Send
from pytest_mesh.traffic.configuration import difference
from pytest_mesh.traffic.gate import Marked, at_port, pass_marked, pass_unmarked
from pytest_mesh.traffic.proxies import Proxy, fingerprint, raw_config_dumps, wait_endpoints

__tracebackhide__ = hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What one call of ``apply`` must wait for, made before anything is sent."""

    marked: tuple[Marked, ...]
    unmarked: bool
    proxies: tuple[Proxy, ...]
    before: Mapping[str, str]
    started: float


class Convergence:
    """The epoch gate of one namespace."""

    def __init__(
        self, namespace: str, kube: Kube, implementation: Implementation, settings: MeshSettings, record: Record
    ) -> None:
        self._namespace = namespace
        self._kube = kube
        self._implementation = implementation
        self._settings = settings
        self._record = record
        self._clients: dict[str, Send] = {}
        self._stand_ins: list[readiness.Expected] = []
        self._marked: dict[tuple[str, str], Marked] = {}
        self._before: dict[str, bytes] = {}
        """Each proxy's configuration before the last change, unread."""
        self._unmarked = False
        self._epochs = 0
        self._prefix = secrets.token_hex(3)

    @property
    def seconds(self) -> float:
        """The budget: the settings' own, else what the implementation declares."""
        own = self._settings.convergence_seconds
        return self._implementation.convergence_seconds if own is None else own

    @property
    def stand_ins(self) -> tuple[readiness.Expected, ...]:
        """The pods of every stand-in so far."""
        return tuple(self._stand_ins)

    def expect(self, stand_ins: Sequence[readiness.Expected]) -> None:
        """Learn of pods whose endpoints every client must know."""
        self._stand_ins.extend(stand_ins)

    def join(self, name: str, pod: str, send: Send) -> None:
        """Take in a new client; return when its proxy has all that was applied before."""
        self._clients[pod] = send
        self.wait_endpoints([pod])
        if self._marked:
            pass_marked(name, send, list(self._marked.values()), seconds=self.seconds, monitor=self._record.monitor)
        if self._unmarked:
            pass_unmarked(self.proxies(), {}, settle_seconds=self._settings.settle_seconds, seconds=self.seconds)

    def mark(self, document: Json) -> Json:
        """Give a VirtualService with the epoch's marker, or as it stands when no request can be made up for it."""
        self._epochs += 1
        stamp = f"{self._prefix}-{self._epochs}"
        probes = tuple(at_port(probe, self._port_of(probe.url)) for probe in epoch.probes(document))
        if not probes:
            return document
        name = f"VirtualService {document['metadata']['name']}"
        self._marked[_key(document)] = Marked(name=name, epoch=stamp, probes=probes)
        return epoch.mark(document, stamp)

    def forget(self, document: Json) -> None:
        """Forget a document that is about to be deleted."""
        self._marked.pop(_key(document), None)

    def prepare(self, documents: Sequence[Json], *, marking: bool) -> tuple[list[Json], Pending]:
        """Give the documents as they are to be sent, and what to wait for after that."""
        sent, marked, unmarked = [], [], False
        for document in documents:
            one = document
            if epoch.is_virtual_service(document) and marking:
                one = self.mark(document)
            if one is not document:
                marked.append(self._marked[_key(document)])
            elif "istio.io/" in document["apiVersion"]:
                unmarked = True
            sent.append(one)
        # Where every route is marked the marker vouches for what came before it, subsets included.
        policies = any(not str(one["apiVersion"]).startswith("networking.istio.io/") for one in _configuration(sent))
        unmarked = unmarked and (policies or not marked)
        proxies = tuple(self.proxies()) if unmarked else ()
        # Nothing reads these unless the test fails: then they tell what the change changed.
        before = raw_config_dumps(proxies or (self.proxies(list(self._clients)) if marked and self._clients else ()))
        if marked or unmarked:
            self._before = before
        pending = Pending(
            marked=tuple(marked),
            unmarked=unmarked,
            proxies=proxies,
            before={pod: fingerprint(json.loads(text)) for pod, text in before.items()} if unmarked else {},
            started=time.monotonic(),
        )
        self._unmarked = self._unmarked or unmarked
        return sent, pending

    def pass_gate(self, pending: Pending) -> None:
        """Wait for what was applied; write down how it was judged. Raises ``NotConverged``."""
        facts: dict[str, Any] = {}
        for pod, send in self._clients.items():
            pass_marked(pod, send, pending.marked, seconds=self.seconds, monitor=self._record.monitor)
        if pending.marked:
            facts["gate"] = "marker"
        if pending.unmarked and (self._clients or pending.proxies):
            facts["gate"] = pass_unmarked(
                pending.proxies,
                dict(pending.before),
                settle_seconds=self._settings.settle_seconds,
                seconds=self.seconds,
            )
        if facts:
            seconds = time.monotonic() - pending.started
            self._record.facts(**facts, gateSeconds=round(seconds, 3))
            self._record.monitor.waited("configuration in the proxies", seconds)

    def changes(self, pod: str) -> str | None:
        """Give what is otherwise in a proxy's configuration since before the last change; None where that is not known.

        Raises ``Infrastructure`` where the proxy does not answer.
        """
        before = self._before.get(pod)
        return None if before is None else difference(json.loads(before), self.proxy(pod).config_dump())

    # ------------------------------------------------------------ proxies

    def proxy(self, pod: str) -> Proxy:
        """Give the admin side of a pod's proxy."""
        port = self._implementation.admin_port
        return Proxy(pod=pod, fetch=partial(self._kube.forwarded_get, self._namespace, pod, port))

    def proxies(self, pods: Sequence[str] | None = None) -> list[Proxy]:
        """Give the proxies of these pods (None = of all) that have one and can be asked."""
        if not self._implementation.admin_port:
            return []
        return [
            self.proxy(pod["metadata"]["name"])
            for pod in self._pods()
            if (pods is None or pod["metadata"]["name"] in pods) and self._is_meshed(pod)
        ]

    def wait_endpoints(self, clients: Sequence[str] | None = None) -> None:
        """Wait until the proxies of these clients (None = of all) know the stand-ins' Ready pods behind Services."""
        proxies = self.proxies(list(self._clients) if clients is None else clients)
        if not proxies or not self._stand_ins:
            return
        behind = self._selected()
        addresses = {
            pod["status"]["podIP"]
            for pod in self._pods()
            if readiness.is_ready(pod)
            and any(one.matches(pod) for one in self._stand_ins)
            and any(one.matches(pod) for one in behind)
        }
        try:
            wait_endpoints(proxies, addresses, seconds=self.seconds)
        except Infrastructure as error:
            self._record.facts(endpoints=f"not observed: {error}")

    # ------------------------------------------------------------ inside

    def _selected(self) -> list[readiness.Expected]:
        """Give what the namespace's Services select: a pod whose Service is gone is no endpoint of anybody's."""
        services = self._kube.list(f"/api/v1/namespaces/{self._namespace}/services")
        selectors = [(one["spec"] or {}).get("selector") for one in services]
        return [readiness.Expected(labels=labels) for labels in selectors if labels]

    def _pods(self) -> list[Json]:
        return self._kube.list(f"/api/v1/namespaces/{self._namespace}/pods")

    def _is_meshed(self, pod: Json) -> bool:
        spec = pod["spec"]
        containers = (*(spec.get("initContainers") or ()), *spec["containers"])
        return readiness.is_ready(pod) and any(
            one["name"] == self._implementation.proxy_container for one in containers
        )

    def _port_of(self, url: str) -> int:
        """Give the first port of the Service that a URL's host names; 80 where there is none."""
        name, _, rest = url.split("/")[2].partition(".")
        namespace = rest.split(".")[0] or self._namespace
        service = self._kube.find(f"/api/v1/namespaces/{namespace}/services/{name}")
        ports = (service or {}).get("spec", {}).get("ports") or [{"port": 80}]
        return int(ports[0]["port"])


def _key(document: Json) -> tuple[str, str]:
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def _configuration(documents: Sequence[Json]) -> list[Json]:
    return [one for one in documents if "istio.io/" in str(one["apiVersion"])]
