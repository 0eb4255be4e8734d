"""Generated Pods: whatever a user wrote is still there after injection, in its order, and a second injection adds nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from mesh_conformance.injection.admitted_pods import admitted, comparable, differences
from mesh_conformance.injection.conftest import ACCOUNT
from mesh_conformance.injection.pod_contents import is_injected, lost_parts, reordered_parts
from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.failures import MeshFailure, Refused
from pytest_mesh.kube import KubeError
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import pods

SHARE = 4
"""One Pod for so many of the profile's examples."""
LEAST = 0.5
"""Share of the generated Pods that an API server must take as they are: with fewer the check would look at nothing."""

NAME = "generated"
"""Of every Pod: none is stored."""

Judge = Callable[[Json, Json], list[str]]


@pytest.mark.mesh_feature("InjectPreservesPod")
def test_nothing_that_the_user_wrote_is_lost_or_changed(
    injected: MeshNamespace, plain: MeshNamespace, mesh_settings: MeshSettings
) -> None:
    _judge(injected, plain, mesh_settings.seed, lost_parts)


@pytest.mark.mesh_feature("InjectPreservesPod")
def test_what_the_user_wrote_keeps_its_order(
    injected: MeshNamespace, plain: MeshNamespace, mesh_settings: MeshSettings
) -> None:
    _judge(injected, plain, mesh_settings.seed, reordered_parts)


@pytest.mark.mesh_feature("InjectPreservesPod")
def test_an_injected_pod_is_injected_no_further(
    injected: MeshNamespace, plain: MeshNamespace, mesh_settings: MeshSettings
) -> None:
    """What the webhook made comes to it again, as it does where another webhook changed the Pod after it.

    The proxy's own variables may change places: it reads them by name.
    """

    def twice(_: Json, once: Json) -> list[str]:
        again = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(comparable(once))}
        again["metadata"]["name"] = NAME
        proxy = injected.implementation.proxy_container
        first, second = (_by_name(comparable(one), proxy) for one in (once, admitted(injected, again)))
        return differences(first, second)

    _judge(injected, plain, mesh_settings.seed, twice)


def _by_name(pod: Json, container: str) -> Json:
    """Give the Pod with one container's variables in the order of their names, unless one expands another (``$(NAME)``)."""
    out = copy.deepcopy(pod)
    for one in (*out["spec"].get("initContainers", ()), *out["spec"]["containers"]):
        env = one.get("env", [])
        if one["name"] == container and not any("$(" in (variable.get("value") or "") for variable in env):
            env.sort(key=lambda variable: str(variable["name"]))
    return out


def _judge(injected: MeshNamespace, plain: MeshNamespace, number: int, judge: Judge) -> None:
    count = max(4, settings().max_examples // SHARE)
    found, judged = _drawn(count, number), 0
    for pod in found:
        try:
            before = admitted(plain, pod)
        except KubeError as error:
            if error.status in {400, 422}:  # no API server takes it, with a mesh or without
                continue
            raise
        try:
            after = admitted(injected, pod)
        except KubeError as error:
            raise Refused(f"a Pod is refused in the mesh and taken beside it: {error.message}\n{_told(pod)}") from error
        assert is_injected(after, injected.implementation), f"a Pod is not injected:\n{_told(pod)}"
        judged += 1
        complaints = judge(before, after)
        if complaints:
            raise MeshFailure(f"{complaints[0]} (and {len(complaints) - 1} more), seed {number}, of\n{_told(pod)}")
    injected.facts(pods=judged, seed=number)
    assert judged >= LEAST * count, f"the API server takes {judged} of {count} generated Pods only"


def _drawn(count: int, number: int) -> list[Json]:
    found: list[Json] = []

    @seed(number)
    @settings(
        max_examples=count, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck), derandomize=False,
    )  # fmt: skip
    @given(pods(own_proxies=False, steered=False))
    def draw(pod: Json) -> None:
        found.append(_complete(pod))

    draw()
    return found[:count]


def _complete(pod: Json) -> Json:
    """Give a generated Pod as a document that an API server takes: names that are labels, no probes of what ends."""
    document: Json = documents.load(documents.write(pod).replace("x~y", "x-y").replace("a~b/c", "a-b/c"))
    document.setdefault("metadata", {})["name"] = NAME
    document |= {"apiVersion": "v1", "kind": "Pod"}
    spec = document["spec"]
    # Without the API server's own volume, whose name is another one each time.
    spec |= {"serviceAccountName": ACCOUNT, "automountServiceAccountToken": False}
    for container in spec.get("initContainers") or ():
        for field in ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle"):
            container.pop(field, None)
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        ports = container.get("ports") or []
        named = [one for one in ports if one.pop("name", None)]
        if named:
            named[0]["name"] = "http"
        if container.get("lifecycle") == {}:
            del container["lifecycle"]
    return document


def _told(pod: Json) -> str:
    return "\n".join(f"  {line}" for line in documents.write(pod).splitlines())
