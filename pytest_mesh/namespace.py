"""A namespace of a test's own: stand-ins, documents, clients. What ``mesh_namespace`` gives.

It waits for what it makes; what it made goes with the namespace.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pytest_mesh import contracts, inspection, readiness, sources, stand_ins
from pytest_mesh.contracts import CONTROL_PORT, REVISION_LABEL, Batch, Cluster, Implementation, Json
from pytest_mesh.convergence import Convergence
from pytest_mesh.failures import Infrastructure, MeshFailure, Refused, hidden
from pytest_mesh.kube import Execution, Kube, KubeError
from pytest_mesh.last_words import Workloads, last_words
from pytest_mesh.record import Record
from pytest_mesh.refusals import refuses_document
from pytest_mesh.report.redaction import secret_values
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.proxies import Proxy

__tracebackhide__ = hidden

T = TypeVar("T")

CONTROL_SECONDS = 30.0
"""Budget of a control call that waits for no traffic."""


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
        self._convergence = Convergence(name, kube, implementation, settings, record)
        self._workloads = Workloads(kube, name)
        self._soaking: dict[str, float] = {}
        """By the client's pod: when its last soak began, in seconds since the epoch."""
        self._standing: dict[tuple[str, str, str], Json] = {}

    # ------------------------------------------------------------ workloads

    def stand_in(
        self,
        name: str,
        versions: Sequence[str] = ("v1",),
        *,
        replicas: int = 1,
        ports: Mapping[int, int] | None = None,
        protocols: Mapping[int, str] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        service_account: str = "",
        inject: bool = True,
        svid_ttl: str = "",
        wait: bool = True,
    ) -> None:
        """Run echo workloads behind Service ``name``, one Deployment ``name-version`` per version.

        Args:
            name: of the Service, of the label ``app`` and (by default) of the ServiceAccount.
            versions: values of the label ``version``.
            replicas: pods per version.
            ports: the Service's port to the pods' (default ``{80: 8080}``).
            protocols: what a port of the Service is declared to speak: http (default), http2, grpc, tcp or tls.
            labels: more labels for the pods.
            annotations: more annotations for the pods.
            service_account: another ServiceAccount's name.
            inject: False labels the pods out of the mesh.
            svid_ttl: time to live asked for the pods' certificates (``30s``); empty = the settings' own.
            wait: False returns before the pods are Ready; the next client waits for them.
        """
        ports = dict(ports or {80: stand_ins.HTTP_PORT})
        account = service_account or name
        make = partial(
            stand_ins.deployment,
            app=name,
            account=account,
            replicas=replicas,
            ports=stand_ins.spoken(ports, protocols or {}),
            labels=self._labels(labels, inject=inject),
            annotations=self._annotations(annotations, svid_ttl),
            image=self._image,
            pull_secret=self._pull_secret,
        )
        found = [
            stand_ins.service_account(account),
            stand_ins.service(name, ports, protocols),
            *(make(f"{name}-{version}", version=version) for version in versions),
        ]
        self._send_all([(document, "stand_in") for document in found])
        expected = [one for one in map(readiness.expected_of, found) if one is not None]
        self._convergence.expect(expected)
        if wait:
            self._wait_ready(expected)
            self._convergence.wait_endpoints()

    def client(
        self,
        name: str = "client",
        *,
        service_account: str = "",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        inject: bool = True,
        svid_ttl: str = "",
    ) -> Client:
        """Give a client that sends from a pod of its own, by ServiceAccount ``name``; it has what was applied.

        ``inject=False`` labels the pod out of the mesh: it sends plaintext.
        """
        account = service_account or name
        document = stand_ins.deployment(
            name,
            app=name,
            version="client",
            account=account,
            replicas=1,
            ports=(stand_ins.HTTP_PORT,),
            labels=self._labels(labels, inject=inject),
            annotations=self._annotations(annotations, svid_ttl),
            image=self._image,
            pull_secret=self._pull_secret,
        )
        self._send_all([(stand_ins.service_account(account), "client"), (document, "client")])
        expected = readiness.expected_of(document)
        assert expected is not None  # noqa: S101 - a Deployment always gives one
        pods = self._wait_ready([*self._convergence.stand_ins, expected])
        pod = next(one["metadata"]["name"] for one in pods if expected.matches(one) and readiness.is_ready(one))
        send = partial(self._send_batch, pod)
        if inject:
            self._convergence.join(name, pod, send)
        control = partial(self._send_soak, pod)
        return Client(
            name,
            pod,
            send,
            partial(self._send_probe, pod),
            self.record,
            self.settings,
            control=control,
            namespace=self.name,
        )

    # ------------------------------------------------------------ documents

    def apply(self, source: sources.Source, *, wait: bool = True, dry_run: bool = False) -> list[Json]:
        """Apply documents (a path beside the test, YAML text, a dict or a list); return when they have converged.

        Gives the stored objects; with ``dry_run`` what the API server and its
        webhooks would store. Raises ``Refused`` with the field and the rule
        when one of them does not take a document, ``NotConverged`` when the
        proxies do not get them within the budget.
        """
        found = sources.in_order(sources.read(source, self._bases))
        if dry_run or not wait:
            return self._send_all(found, dry_run=dry_run)
        sent, pending = self._convergence.prepare([one for one, _ in found], marking=self.settings.mark_routes)
        applied = self._send_all([(one, origin) for one, (_, origin) in zip(sent, found, strict=True)])
        ready = [one for one in map(readiness.expected_of, sent) if one is not None]
        pods = [one["metadata"]["name"] for one in sent if one["kind"] == "Pod"]
        if ready or pods:
            self._wait_ready(ready, pods)
            self._convergence.wait_endpoints()
        self._convergence.pass_gate(pending)
        return applied

    def assert_refused(self, source: sources.Source, *mentions: str) -> str:
        """Apply documents of which one must be refused, for a reason in which every mention stands; give the reason."""
        try:
            taken = self._send_all(sources.in_order(sources.read(source, self._bases)))
        except Refused as error:
            message = str(error)
            absent = [one for one in mentions if one not in message]
            if absent:
                raise MeshFailure(f"refused, but for a reason that does not mention {absent}: {message}") from error
            return message
        names = ", ".join(f"{one['kind']} {one['metadata']['name']}" for one in taken)
        raise MeshFailure(f"{names}: was taken, a refusal was wanted{f' that names {mentions}' if mentions else ''}")

    def deploy(self, source: sources.Source) -> list[Json]:
        """Apply a user's own workloads and wait until their pods are Ready; one that cannot start fails at once."""
        return self.apply(source)

    def delete(self, source: sources.Source) -> None:
        """Delete documents, routes before what they name; return when the proxies have settled."""
        found = [document for document, _ in sources.in_order(sources.read(source, self._bases))]
        _, pending = self._convergence.prepare(found, marking=False)
        for document in reversed(found):
            self._convergence.forget(document)
            metadata = document["metadata"]
            resource = self.kube.resource(document["apiVersion"], document["kind"])
            self.kube.delete(resource.path(metadata.get("namespace") or self.name, metadata["name"]))
            self._standing.pop(_key(document), None)
        self._convergence.pass_gate(pending)

    def kube_inject(self, source: sources.Source) -> list[Json]:
        """Give what the implementation's offline injection makes of documents; not applicable where it has none."""
        inspection.need(self.implementation, "kube_inject_command")
        found = [document for document, _ in sources.read(source, self._bases)]
        made = inspection.kube_inject(self.implementation, found, self.cluster.kubeconfig)
        if not isinstance(self.cluster, contracts.PullsImages):
            return made
        return self.cluster.renamed(made, [contracts.WORKLOAD_IMAGE, *self.implementation.images])

    # ------------------------------------------------------------ what is there

    @property
    def standing(self) -> list[Json]:
        """The documents that were applied here and not deleted again, as they were sent."""
        return list(self._standing.values())

    def get(self, api_version: str, kind: str, name: str, *, namespace: str = "") -> Json:
        """Give one object, of this namespace unless another is named; fails the test when it is absent."""
        return self._noted(inspection.get(self.kube, api_version, kind, name, namespace or self.name))

    def find(self, api_version: str, kind: str, name: str, *, namespace: str = "") -> Json | None:
        """Give one object, or None when it is absent."""
        found = inspection.find(self.kube, api_version, kind, name, namespace or self.name)
        return None if found is None else self._noted(found)

    def pods(self, **labels: str) -> list[Json]:
        """Give the namespace's Pods, those on their way out left out; ``labels`` select."""
        return inspection.pods(self.kube, self.name, **labels)

    def pod(self, name: str, **labels: str) -> Json:
        """Give the one Ready Pod of a stand-in or client (label ``app``), or the Pod of that very name."""
        return inspection.pod(self.kube, self.name, name, **labels)

    def logs(self, pod: str, container: str = "workload") -> str:
        """Give a container's log."""
        return self.kube.logs(self.name, pod, container)

    def exec(self, pod: str, *command: str, container: str = "workload", seconds: float = 30.0) -> Execution:
        """Run a command in a pod's container; give its output, errors and exit code."""
        return self.kube.exec(self.name, pod, container, command, seconds=seconds)

    def proxy(self, pod: str) -> Proxy:
        """Give the admin side of a pod's proxy; not applicable where the implementation names no port for it."""
        inspection.need(self.implementation, "admin_port")
        return self._convergence.proxy(pod)

    def changes(self, pod: str) -> str:
        """Give, as a unified diff, what the last ``apply`` or ``delete`` changed in the configuration of a pod's proxy.

        Empty where nothing differs, and for a proxy that was not asked before it: one that started later, or (for
        documents that carry the epoch's marker) one of a pod that is no client.
        """
        inspection.need(self.implementation, "admin_port")
        return self._convergence.changes(pod) or ""

    def trust_bundle(self) -> str:
        """Give the PEM of the trust bundle that the mesh publishes in this namespace; waits for it."""
        inspection.need(self.implementation, "root_config_map")
        read = partial(inspection.trust_bundle, self.kube, self.implementation, self.name)
        named = self.implementation.where("identity.root_config_map")
        return self.eventually(read, f"namespace {self.name}: the trust bundle that {named} names")

    def root_certificate(self) -> str:
        """Give the PEM of the root in the Secret that the implementation's file names."""
        inspection.need(self.implementation, "root_secret")
        return inspection.root_certificate(self.kube, self.implementation)

    def eventually(self, condition: Callable[[], T], what: str, *, seconds: float | None = None) -> T:
        """Call ``condition`` until it gives something true and give that; else ``NotConverged``."""
        budget = self._convergence.seconds if seconds is None else seconds
        return inspection.eventually(condition, what, seconds=budget, monitor=self.record.monitor)

    def facts(self, **facts: Any) -> None:
        """Add facts to the check's evidence in the report."""
        self.record.facts(**facts)

    # ------------------------------------------------------------ inside

    def _noted(self, document: Json) -> Json:
        """Give the document; what it holds of secrets is known from now on."""
        self.record.secrets |= secret_values([document])
        return document

    def _labels(self, labels: Mapping[str, str] | None, *, inject: bool) -> dict[str, str]:
        if not inject and self.implementation.injection_labels:
            inspection.need(self.implementation, "pod_opt_out_labels")
        return {**({} if inject else self.implementation.pod_opt_out_labels), **(labels or {})}

    def _annotations(self, annotations: Mapping[str, str] | None, svid_ttl: str) -> dict[str, str]:
        wanted = stand_ins.pod_annotations(self.implementation, svid_ttl=svid_ttl or self.settings.svid_ttl)
        return {**wanted, **(annotations or {})}

    @property
    def _image(self) -> str:
        name = contracts.WORKLOAD_IMAGE
        return self.cluster.image(name) if isinstance(self.cluster, contracts.PullsImages) else name

    @property
    def _pull_secret(self) -> str:
        return self.cluster.image_pull_secret if isinstance(self.cluster, contracts.PullsImages) else ""

    def _send_batch(self, pod: str, batch: Batch) -> Json:
        longest = max(request.timeout for request in batch.requests)
        rounds = -(-batch.count * len(batch.requests) // batch.connections)
        began = time.time()
        answer = self._control(pod, "/v1/batch", batch.to_json(), seconds=30 + min(longest * rounds * 2, 600))
        self._workloads.check(self._convergence.stand_ins, answer, began=began)
        return answer

    def _send_soak(self, pod: str, path: str, body: Json) -> Json:
        """Begin, look at or stop a soak; what it lost while a workload died is infrastructure as well."""
        answer = self._control(pod, path, body, seconds=CONTROL_SECONDS)
        if "lanes" in body:
            self._soaking[pod] = time.time()
        elif body.get("stop"):
            lost = sum((Counter(lane["failures"]) for lane in answer["lanes"]), Counter[str]())
            self._workloads.check(self._convergence.stand_ins, {"failures": lost}, began=self._soaking[pod])
        return answer

    def _send_probe(self, pod: str, arguments: Json) -> Json:
        return self._control(pod, "/v1/probe", arguments, seconds=30 + float(arguments["timeout"]))

    def _control(self, pod: str, path: str, body: Json, *, seconds: float) -> Json:
        try:
            return self.kube.proxy(self.name, pod, CONTROL_PORT, path, body, seconds=seconds)
        except KubeError as error:
            if error.status == 400:
                raise ValueError(f"the workload {pod} does not take this: {error.message}") from error
            raise self._silent(pod, error) from error
        except Infrastructure as error:
            raise self._silent(pod, error) from error

    def _silent(self, pod: str, error: Exception) -> Infrastructure:
        words = last_words(self.kube, self.name, pod)
        return Infrastructure(f"no answer from the workload {self.name}/{pod}: {error}; {words}")

    def _send_all(self, found: Sequence[tuple[Json, str]], *, dry_run: bool = False) -> list[Json]:
        applied = []
        for plain, origin in found:
            document = self._of_revision(plain)
            self._noted(document)
            if not dry_run:
                self.record.applied.append(document)
            try:
                applied.append(self.kube.apply(document, namespace=self.name, dry_run=dry_run))
                if not dry_run:
                    self._standing[_key(document)] = document
            except KubeError as error:
                where = f"{document['kind']} {document['metadata']['name']} ({origin})"
                if refuses_document(error):
                    raise Refused(f"{where} is refused: {error.message}") from error
                raise Infrastructure(f"{where}: {error.message}") from error
        return applied

    def _of_revision(self, document: Json) -> Json:
        """Give a document of the suite's own with the label by which a revision's webhook knows it for its own."""
        revision = self.implementation.revision
        if not (revision and self.settings.mark_routes and "istio.io/" in document["apiVersion"]):
            return document
        metadata = document["metadata"]
        labels = {REVISION_LABEL: revision, **(metadata.get("labels") or {})}
        return {**document, "metadata": {**metadata, "labels": labels}}

    def _wait_ready(self, expected: Sequence[readiness.Expected], names: Sequence[str] = ()) -> list[Json]:
        return readiness.wait_ready(
            self.kube,
            self.name,
            expected,
            names=names,
            seconds=self.settings.ready_seconds,
            monitor=self.record.monitor,
        )


def _key(document: Json) -> tuple[str, str, str]:
    metadata = document["metadata"]
    return str(document["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])
