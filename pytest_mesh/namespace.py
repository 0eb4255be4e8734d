"""A namespace of a test's own: stand-ins, documents, clients. What ``mesh_namespace`` gives.

It waits for what it makes; what it made goes with the namespace.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pytest_mesh import readiness, sources, stand_ins
from pytest_mesh.contracts import CONTROL_PORT, Batch, Cluster, Implementation, Json
from pytest_mesh.failures import Infrastructure, Refused
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.record import Record
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic import epoch
from pytest_mesh.traffic.client import Client, Send
from pytest_mesh.traffic.gate import Marked, at_port, pass_marked, pass_unmarked
from pytest_mesh.traffic.proxies import Proxy, fingerprints, wait_endpoints

_LATE_ENDPOINTS_SECONDS = 10.0


class MeshNamespace:
    """A namespace under test."""

    def __init__(
        self,
        name: str,
        *,
        cluster: Cluster,
        kube: Kube,
        implementation: Implementation,
        settings: MeshSettings,
        record: Record,
        bases: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.cluster = cluster
        self.kube = kube
        self.implementation = implementation
        self.settings = settings
        self.record = record
        self._bases = tuple(bases) or (Path.cwd(),)
        self._clients: dict[str, Send] = {}
        self._stand_ins: list[readiness.Expected] = []
        self._marked: dict[tuple[str, str], Marked] = {}
        self._unmarked = False
        self._epochs = 0
        self._epoch_prefix = secrets.token_hex(3)

    # ------------------------------------------------------------ the public part

    def stand_in(
        self,
        name: str,
        versions: Sequence[str] = ("v1",),
        *,
        replicas: int = 1,
        ports: Mapping[int, int] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        service_account: str = "",
        wait: bool = True,
    ) -> None:
        """Run echo workloads behind Service ``name``, one Deployment ``name-version`` per version.

        Args:
            name: of the Service, of the label ``app`` and (by default) of the ServiceAccount.
            versions: values of the label ``version``.
            replicas: pods per version.
            ports: the Service's port to the pods' (default ``{80: 8080}``).
            labels: more labels for the pods.
            annotations: more annotations for the pods.
            service_account: another ServiceAccount's name.
            wait: False returns before the pods are Ready; the next client waits for them.
        """
        ports = dict(ports or {80: stand_ins.HTTP_PORT})
        account = service_account or name
        found = [
            stand_ins.service_account(account),
            stand_ins.service(name, ports),
            *(
                stand_ins.deployment(
                    f"{name}-{version}",
                    app=name,
                    version=version,
                    account=account,
                    replicas=replicas,
                    ports=tuple(dict.fromkeys(ports.values())),
                    labels=labels or {},
                    annotations={**self._annotations(), **(annotations or {})},
                )
                for version in versions
            ),
        ]
        self._apply_all([(document, "stand_in") for document in found])
        expected = [one for one in map(readiness.expected_of, found) if one is not None]
        self._stand_ins.extend(expected)
        if wait:
            self._wait_ready(expected)
            self._wait_endpoints(self._proxies(list(self._clients)))

    def client(
        self,
        name: str = "client",
        *,
        service_account: str = "",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Client:
        """Give a client that sends from a pod of its own, by ServiceAccount ``name``; it has what was applied."""
        account = service_account or name
        document = stand_ins.deployment(
            name,
            app=name,
            version="client",
            account=account,
            replicas=1,
            ports=(stand_ins.HTTP_PORT,),
            labels=labels or {},
            annotations={**self._annotations(), **(annotations or {})},
        )
        self._apply_all([(stand_ins.service_account(account), "client"), (document, "client")])
        expected = readiness.expected_of(document)
        assert expected is not None  # noqa: S101 - a Deployment always gives one
        pods = self._wait_ready([*self._stand_ins, expected])
        pod = next(one["metadata"]["name"] for one in pods if expected.matches(one) and readiness.is_ready(one))
        send = partial(self._send, pod)
        self._clients[pod] = send
        proxies = self._proxies([pod])
        self._wait_endpoints(proxies)
        if self._marked:
            pass_marked(name, send, list(self._marked.values()), seconds=self._convergence)
        if self._unmarked:
            pass_unmarked(self._proxies(), {}, settle_seconds=self.settings.settle_seconds, seconds=self._convergence)
        return Client(name, pod, send, self.record, self.settings)

    def apply(self, source: sources.Source, *, wait: bool = True) -> list[Json]:
        """Apply documents (a path beside the test, YAML text, a dict or a list); return when they have converged.

        Raises ``Refused`` with the field and the rule when the API server or a
        webhook behind it does not take one, ``NotConverged`` when the proxies
        do not get them within the budget.
        """
        found = sources.in_order(sources.read(source, self._bases))
        started = time.monotonic()
        marked: list[Marked] = []
        unmarked = False
        ready: list[readiness.Expected] = []
        pods: list[str] = []
        to_apply = []
        for document, origin in found:
            sent = document
            if epoch.is_virtual_service(document) and self.settings.mark_routes and wait:
                one, sent = self._mark(document)
                if one.probes:
                    marked.append(one)
                    self._marked[document["metadata"].get("namespace", ""), document["metadata"]["name"]] = one
                else:
                    unmarked = True
            elif "istio.io/" in document["apiVersion"]:
                unmarked = True
            elif (expected := readiness.expected_of(document)) is not None:
                ready.append(expected)
            elif document["kind"] == "Pod":
                pods.append(document["metadata"]["name"])
            to_apply.append((sent, origin))
        # Where every route is marked the marker vouches for what came before it, subsets included.
        unmarked = unmarked and not marked
        proxies = self._proxies() if unmarked and wait else []
        before = fingerprints(proxies)
        applied = self._apply_all(to_apply)
        self._unmarked = self._unmarked or unmarked
        if not wait:
            return applied
        if ready or pods:
            self._wait_ready(ready, pods)
            self._wait_endpoints(self._proxies(list(self._clients)))
        facts: dict[str, Any] = {}
        for pod, send in self._clients.items():
            pass_marked(pod, send, marked, seconds=self._convergence)
        if marked:
            facts["gate"] = "marker"
        if unmarked and self._clients:
            facts["gate"] = pass_unmarked(
                proxies, before, settle_seconds=self.settings.settle_seconds, seconds=self._convergence
            )
        if facts:
            self.record.facts(**facts, gateSeconds=round(time.monotonic() - started, 3))
        return applied

    def deploy(self, source: sources.Source) -> list[Json]:
        """Apply a user's own workloads and wait until their pods are Ready; one that cannot start fails at once."""
        return self.apply(source)

    def delete(self, source: sources.Source) -> None:
        """Delete documents, routes before what they name; return when the proxies have settled."""
        found = sources.in_order(sources.read(source, self._bases))
        proxies = self._proxies()
        before = fingerprints(proxies)
        for document, _ in reversed(found):
            metadata = document["metadata"]
            self._marked.pop((metadata.get("namespace", ""), metadata["name"]), None)
            resource = self.kube.resource(document["apiVersion"], document["kind"])
            self.kube.delete(resource.path(metadata.get("namespace") or self.name, metadata["name"]))
        if self._clients:
            pass_unmarked(proxies, before, settle_seconds=self.settings.settle_seconds, seconds=self._convergence)

    def pods(self, **labels: str) -> list[Json]:
        """Give the namespace's Pods, those on their way out left out; ``labels`` select."""
        selector = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
        listed = self.kube.list(f"/api/v1/namespaces/{self.name}/pods", **selector)
        return [pod for pod in listed if not pod["metadata"].get("deletionTimestamp")]

    def logs(self, pod: str, container: str = "workload") -> str:
        """Give a container's log."""
        return self.kube.logs(self.name, pod, container)

    def proxy(self, pod: str) -> Proxy:
        """Give the admin side of a pod's proxy; raises ``Infrastructure`` where the implementation names no port."""
        port = self.implementation.admin_port
        if not port:
            raise Infrastructure(f"implementation {self.implementation.name!r} names no admin_port")
        return Proxy(pod=pod, fetch=partial(self.kube.forwarded_get, self.name, pod, port))

    # ------------------------------------------------------------ inside

    @property
    def _convergence(self) -> float:
        own = self.settings.convergence_seconds
        return self.implementation.convergence_seconds if own is None else own

    def _annotations(self) -> dict[str, str]:
        return stand_ins.pod_annotations(self.implementation, svid_ttl=self.settings.svid_ttl)

    def _send(self, pod: str, batch: Batch) -> Json:
        longest = max(request.timeout for request in batch.requests)
        rounds = -(-batch.count * len(batch.requests) // batch.connections)
        try:
            return self.kube.proxy(
                self.name, pod, CONTROL_PORT, "/v1/batch", batch.to_json(), seconds=30 + min(longest * rounds * 2, 600)
            )
        except KubeError as error:
            if error.status == 400:
                raise ValueError(f"the workload {pod} does not take the batch: {error.message}") from error
            raise Infrastructure(f"no answer from the workload {self.name}/{pod}: {error}") from error

    def _mark(self, document: Json) -> tuple[Marked, Json]:
        self._epochs += 1
        stamp = f"{self._epoch_prefix}-{self._epochs}"
        probes = tuple(at_port(probe, self._port_of(probe.url)) for probe in epoch.probes(document))
        name = f"VirtualService {document['metadata']['name']}"
        return Marked(name=name, epoch=stamp, probes=probes), epoch.mark(document, stamp)

    def _port_of(self, url: str) -> int:
        """Give the first port of the Service that a URL's host names; 80 where there is none."""
        name, _, rest = url.split("/")[2].partition(".")
        namespace = rest.split(".")[0] or self.name
        service = self.kube.find(f"/api/v1/namespaces/{namespace}/services/{name}")
        ports = (service or {}).get("spec", {}).get("ports") or [{"port": 80}]
        return int(ports[0]["port"])

    def _apply_all(self, found: Sequence[tuple[Json, str]]) -> list[Json]:
        applied = []
        for document, origin in found:
            name = f"{document['kind']} {document['metadata']['name']}"
            self.record.applied.append(document)
            try:
                applied.append(self.kube.apply(document, namespace=self.name))
            except KubeError as error:
                where = f"{name} ({origin})"
                if error.status >= 500 or error.status == 401:
                    raise Infrastructure(f"{where}: {error.message}") from error
                raise Refused(f"{where} is refused: {error.message}") from error
        return applied

    def _wait_ready(self, expected: Sequence[readiness.Expected], names: Sequence[str] = ()) -> list[Json]:
        return readiness.wait_ready(self.kube, self.name, expected, names=names, seconds=self.settings.ready_seconds)

    def _proxies(self, pods: Sequence[str] | None = None) -> list[Proxy]:
        """Give the proxies of these pods (None = of all) that have one and can be asked."""
        if not self.implementation.admin_port:
            return []
        return [
            self.proxy(pod["metadata"]["name"])
            for pod in self.pods()
            if (pods is None or pod["metadata"]["name"] in pods) and self._is_meshed(pod)
        ]

    def _is_meshed(self, pod: Json) -> bool:
        spec = pod["spec"]
        containers = (*(spec.get("initContainers") or ()), *spec["containers"])
        return readiness.is_ready(pod) and any(one["name"] == self.implementation.proxy_container for one in containers)

    def _wait_endpoints(self, proxies: Sequence[Proxy]) -> None:
        """Wait until these proxies know the stand-ins' Ready pods."""
        if not proxies or not self._stand_ins:
            return
        addresses = {
            pod["status"]["podIP"]
            for pod in self.pods()
            if readiness.is_ready(pod) and any(one.matches(pod) for one in self._stand_ins)
        }
        try:
            wait_endpoints(proxies, addresses, seconds=min(self._convergence, _LATE_ENDPOINTS_SECONDS))
        except Infrastructure as error:
            self.record.facts(endpoints=f"not observed: {error}")
