"""Holds an implementation's file against a cluster: is what it names there, and does a Pod come back injected?

It makes one namespace for the time of the look, and in it a Pod as a dry run. It
judges the file, not the mesh: a finding names the key that is probably wrong.
"""

from __future__ import annotations

import secrets
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pytest_mesh import readiness
from pytest_mesh.contracts import WORKLOAD_IMAGE, Implementation, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import webhooks
from pytest_mesh.implementations.findings import Finding
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.lifetime import OWNER_LABEL, made_namespace

T = TypeVar("T")

READY_SECONDS = 60.0
"""Budget for Deployments to become Ready and for webhooks to answer."""
_UNSELECTED_SECONDS = 5.0
"""How long a webhook may come late that no object names yet."""
_POLL_SECONDS = 0.05
_LISTED = 10
_RESTARTS = 2
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@dataclass(slots=True)
class Look:
    """What was found; what could not be looked at for want of rights stands in ``unseen``."""

    findings: list[Finding] = field(default_factory=list)
    doubts: list[Finding] = field(default_factory=list)
    """What may be the file's fault or the mesh's: no reason not to judge the mesh."""
    unseen: list[str] = field(default_factory=list)


def look(kube: Kube, implementation: Implementation, *, seconds: float) -> Look:
    """Look at everything that the file names; ``seconds`` is what may still come up. Raises ``Infrastructure``."""
    looking = _Looking(kube, implementation, seconds)
    looking.control_plane()
    if implementation.injection_labels or implementation.root_config_map[0]:
        looking.namespace_of_the_mesh()
    looking.root_secret()
    looking.seen.findings += looking.seen.doubts
    return looking.seen


def require_control_plane(kube: Kube, implementation: Implementation) -> None:
    """Raise ``Infrastructure`` unless the control plane comes up."""
    looking = _Looking(kube, implementation, READY_SECONDS)
    looking.control_plane()
    _raise_for(looking)


def require(kube: Kube, implementation: Implementation, *, injection: bool) -> Look:
    """Raise ``Infrastructure`` unless the control plane is up and injects; give doubts, and what could not be looked at."""
    looking = _Looking(kube, implementation, READY_SECONDS)
    looking.control_plane()
    if injection and not looking.seen.findings:
        looking.namespace_of_the_mesh(roots=False)
    _raise_for(looking)
    return looking.seen


def _raise_for(looking: _Looking) -> None:
    if looking.seen.findings:
        lines = "\n".join(f"  {one}" for one in looking.seen.findings)
        raise Infrastructure(f"the mesh is not on this cluster as its file says:\n{lines}")


@dataclass(frozen=True, slots=True)
class _Reason:
    text: str
    hopeless: bool


class _Looking:
    def __init__(self, kube: Kube, implementation: Implementation, seconds: float) -> None:
        self._kube = kube
        self._file = implementation
        self._seconds = seconds
        self.seen = Look()

    # ------------------------------------------------------------ the control plane

    def control_plane(self) -> None:
        """Look at its namespace and its Deployments."""
        namespace = self._file.namespace
        absent = bool(namespace) and self._ask(f"namespace {namespace}", lambda: self._is_absent(namespace))
        if absent:
            there = self._names("/api/v1/namespaces")
            key = "install.namespace" if "install.namespace" in self._file.lines else "install.ready"
            self._note(key, f"there is no namespace {namespace!r} on this cluster (there are: {there})")
            return
        for index, name in enumerate(self._file.ready):
            self._ask(f"Deployment {name}", lambda name=name, index=index: self._deployment(name, index))  # type: ignore[misc]

    def _deployment(self, name: str, index: int) -> None:
        namespace, _, own = name.partition("/")
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        key = f"install.ready[{index}]"
        found = self._kube.find(f"{path}/{own}")
        if found is None:
            self._note(key, f"there is no Deployment {name} (namespace {namespace} has: {self._names(path)})")
            return
        deadline = time.monotonic() + self._seconds
        while not _is_ready(found):
            reasons = self._reasons(namespace, found)
            if time.monotonic() >= deadline or any(one.hopeless for one in reasons):
                status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
                rule = f"Deployment {name} has {status.get('readyReplicas', 0)} of {wanted} pods Ready"
                self._note(key, "; ".join((rule, *(one.text for one in reasons))))
                return
            time.sleep(_POLL_SECONDS)
            found = self._kube.get(f"{path}/{own}")

    def _reasons(self, namespace: str, deployment: Json) -> list[_Reason]:
        """Say why pods do not start, with their last words."""
        expected = readiness.expected_of({**deployment, "kind": "Deployment"})
        if expected is None:
            return []
        found = []
        for pod in self._kube.list(f"/api/v1/namespaces/{namespace}/pods"):
            problem = readiness.problem(pod) if expected.matches(pod) else None
            if problem is None:
                continue
            text = ": ".join(filter(None, problem))
            restarts = [
                one.get("restartCount", 0)
                for one in (pod.get("status") or {}).get("containerStatuses") or ()
                if one["name"] == problem[0]
            ]
            # A control plane may fail once or twice while what it needs comes up.
            hopeless = not restarts or problem[1] in _NO_IMAGE or max(restarts) >= _RESTARTS
            if hopeless:
                text += f"\n{textwrap.indent(readiness.describe(self._kube, namespace, pod), '    ')}"
            found.append(_Reason(text=text, hopeless=hopeless))
        return found

    # ------------------------------------------------------------ a namespace of the mesh

    def namespace_of_the_mesh(self, *, roots: bool = True) -> None:
        """Make a namespace as tests get it; look at what becomes of a Pod in it, and at the trust bundle."""
        labels = dict(self._file.injection_labels)
        taken_by: list[Json] = []
        if labels and self._file.proxy_container:
            configurations = self._ask("webhooks", lambda: self._kube.list(_WEBHOOKS)) or []
            if "webhooks" not in self.seen.unseen:
                found = self._taking(configurations, labels)
                if not found:
                    return
                # One that takes every namespace may be anybody's.
                taken_by = [one for one in found if webhooks.reads(one.get("namespaceSelector") or {}, labels)]
        name = f"mesh-probe-{secrets.token_hex(3)}"
        with made_namespace(self._kube, name, labels, keep=lambda: False):
            if labels and self._file.proxy_container:
                self._injection(name, taken_by)
            if roots and self._file.root_config_map[0]:
                self._ask("the trust bundle", lambda: self._trust_bundle(name))

    def _taking(self, configurations: list[Json], labels: Mapping[str, str]) -> list[Json]:
        """Give the webhooks that take Pods of the namespace; none is a finding."""
        deadline = time.monotonic() + min(self._seconds, _UNSELECTED_SECONDS)
        while not (found := webhooks.selecting(configurations, labels)):
            if time.monotonic() >= deadline:
                key = "injection.revision" if self._file.revision else "injection.labels"
                wanted = "; ".join(webhooks.selectors(configurations)) or "nothing: there is no webhook for Pods"
                self._note(key, f"no webhook takes Pods of a namespace labelled {_pairs(labels)} (they take: {wanted})")
                return []
            time.sleep(_POLL_SECONDS)
            configurations = self._kube.list(_WEBHOOKS)
        return found

    def _injection(self, namespace: str, taken_by: Sequence[Json]) -> None:
        """Look at what becomes of a Pod; ``taken_by`` holds the webhooks that take it for its labels, if known."""
        plain = {"containers": [{"name": "probe", "image": WORKLOAD_IMAGE}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": namespace}, "spec": plain}
        started = time.monotonic()
        # Where every webhook must answer before there is a Pod, nothing that was left undone comes later.
        answered = bool(taken_by) and all(one.get("failurePolicy", "Fail") == "Fail" for one in taken_by)
        while True:
            seconds = max(self._seconds, _UNSELECTED_SECONDS)
            try:
                spec = self._kube.create(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")["spec"]
            except KubeError as error:
                last, doubtful = f"a Pod cannot be created: {error.message}", False
            else:
                containers = {one["name"]: one for one in (*(spec.get("initContainers") or ()), *spec["containers"])}
                if len(containers) > 1:
                    self._contents(containers)
                    return
                last = "a Pod comes back as it was, without a proxy"
                # The file's labels lead to a webhook that leaves Pods alone: the mesh's own fault, if the webhook is its own.
                doubtful = bool(taken_by)
                if taken_by:
                    last += f" (taken by {', '.join(str(one['name']) for one in taken_by)})"
                seconds = _UNSELECTED_SECONDS if answered else seconds
            if time.monotonic() >= started + seconds:
                rule = f"namespace labelled {_pairs(self._file.injection_labels)}: {last}"
                self._note("injection.labels", rule, doubtful=doubtful)
                return
            time.sleep(_POLL_SECONDS)

    def _contents(self, containers: Mapping[str, Json]) -> None:
        """Hold the names that the file gives against an injected Pod."""
        others = ", ".join(sorted(set(containers) - {"probe"}))
        for key, doubtful in (("proxy_container", False), ("init_container", True)):
            wanted = getattr(self._file, key)
            if wanted and wanted not in containers:
                rule = f"an injected Pod has no container {wanted!r} (injected: {others})"
                self._note(f"injection.{key}", rule, doubtful=doubtful)
        env = (containers.get(self._file.proxy_container) or {}).get("env") or ()
        told = next((str(one.get("value", "")) for one in env if one["name"] == "TRUST_DOMAIN"), "")
        if told and told != self._file.trust_domain:
            rule = f"is {self._file.trust_domain!r}; the injected proxy is told {told!r}"
            self._note("identity.trust_domain", rule, doubtful=True)

    def _trust_bundle(self, namespace: str) -> None:
        name, key = self._file.root_config_map
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        deadline = time.monotonic() + max(self._seconds, _UNSELECTED_SECONDS)
        found = self._kube.find(f"{path}/{name}")
        while key not in ((found or {}).get("data") or {}) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            found = self._kube.find(f"{path}/{name}")
        if found is None:
            self._note(
                "identity.root_config_map",
                f"no ConfigMap {name!r} comes into a namespace of the mesh (there are: {self._names(path)})",
            )
        elif key not in (found.get("data") or {}):
            has = ", ".join(sorted(found.get("data") or {})) or "none"
            self._note("identity.root_config_map[1]", f"ConfigMap {name} has no key {key!r} (it has: {has})")

    def root_secret(self) -> None:
        """Look whether the Secret with the root is there and has the key."""
        namespace, name, key = self._file.root_secret
        if not name:
            return
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        found: list[Json | None] = []
        self._ask(f"Secret {namespace}/{name}", lambda: found.append(self._kube.find(path)))
        if found and found[0] is None:
            self._note("identity.root_secret", f"there is no Secret {namespace}/{name}")
        elif found and found[0] is not None and key not in (found[0].get("data") or {}):
            has = ", ".join(sorted(found[0].get("data") or {})) or "none"
            self._note("identity.root_secret[2]", f"Secret {namespace}/{name} has no key {key!r} (it has: {has})")

    # ------------------------------------------------------------ inside

    def _is_absent(self, namespace: str) -> bool:
        return self._kube.find(f"/api/v1/namespaces/{namespace}") is None

    def _names(self, path: str) -> str:
        """Give what there is, tests' own namespaces left out."""
        try:
            found = [one["metadata"] for one in self._kube.list(path)]
        except KubeError as error:
            return f"unknown: {error.message}"
        names = sorted(one["name"] for one in found if OWNER_LABEL not in (one.get("labels") or {}))
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more or "none"

    def _ask(self, what: str, ask: Callable[[], T]) -> T | None:
        """Ask the API server; None, and a line in ``unseen``, where this user may not."""
        try:
            return ask()
        except KubeError as error:
            if error.status != 403:
                raise Infrastructure(f"{what}: {error}") from error
            self.seen.unseen.append(what)
            return None

    def _note(self, key: str, rule: str, *, doubtful: bool = False) -> None:
        where = self.seen.doubts if doubtful else self.seen.findings
        where.append(Finding.at(self._file, key, rule, "cluster"))


def _is_ready(deployment: Json) -> bool:
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    seen = int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    return seen and int(status.get("readyReplicas", 0)) >= int(wanted)


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())
