"""The same pods, injected by Istio's own ``istioctl kube-inject`` and by the reference, compared field by field.

Run with ``make injection``; MESH_ISTIO_BIN names the directory of Istio's programs. What may differ, and why, is in
`istio_differences`: anything else is a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

import istio_differences

from mesh_reference import documents
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.injection.workloads import inject_object

Json = dict[str, Any]
PODS = Path(__file__).parent / "judged_pods.yaml"
SETTINGS = {"image_pull_policy": "", "agent_command": ("pilot-agent",)}


@pytest.fixture(scope="module")
def istioctl() -> str:
    directory = os.environ.get("MESH_ISTIO_BIN")
    if not directory:
        pytest.exit("MESH_ISTIO_BIN is not set: it names the directory of Istio's programs", returncode=10)
    return str(Path(directory) / "istioctl")


@pytest.fixture(scope="module")
def configuration(istioctl: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Istio's own templates and values of its default profile, as arguments of kube-inject."""
    folder = tmp_path_factory.mktemp("istio")
    manifests = subprocess.run([istioctl, "manifest", "generate"], check=True, capture_output=True, text=True).stdout
    maps = {
        item["metadata"]["name"]: item["data"]
        for item in yaml.load_all(manifests, Loader=yaml.CSafeLoader)
        if item and item["kind"] == "ConfigMap"
    }
    for name, text in (
        ("template", maps["istio-sidecar-injector"]["config"]),
        ("values", maps["istio-sidecar-injector"]["values"]),
        ("mesh", maps["istio"]["mesh"]),
    ):
        (folder / name).write_text(text)
    return [
        *("--injectConfigFile", str(folder / "template"), "--valuesFile", str(folder / "values")),
        *("--meshConfigFile", str(folder / "mesh"), "--revision", "default"),
    ]


def documents_of(text: str) -> list[Json]:
    return [item.value for item in documents.load_all(text) if item.value]


def theirs(istioctl: str, configuration: list[str], *, native: bool) -> list[Json]:
    done = subprocess.run(
        [istioctl, "kube-inject", "-f", str(PODS), *configuration],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ENABLE_NATIVE_SIDECARS": "true" if native else "false", "KUBECONFIG": "/dev/null"},
    )
    assert done.returncode == 0, done.stderr
    return documents_of(done.stdout)


def ours(*, native: bool) -> list[Json]:
    settings = InjectionSettings(native_sidecar=native, **SETTINGS)  # type: ignore[arg-type]
    return [inject_object(item, "default", settings).value for item in documents_of(PODS.read_text())]


@pytest.mark.parametrize("native", [True, False], ids=["native", "regular"])
def test_every_pod_is_injected_as_istio_injects_it_but_for_the_listed_differences(
    istioctl: str, configuration: list[str], native: bool
) -> None:
    unlisted: dict[str, list[str]] = {}
    seen = {item.what for item in istio_differences.DIFFERENCES if not item.paths}
    for here, there in zip(ours(native=native), theirs(istioctl, configuration, native=native), strict=True):
        name = here["metadata"]["name"]
        assert there["metadata"]["name"] == name
        for line in istio_differences.compare(here, there):
            if listed := istio_differences.meant(name, line):
                seen.add(listed.what)
            else:
                unlisted.setdefault(name, []).append(line)
    assert not unlisted, json.dumps(unlisted, indent=2)
    # One that is not seen any more must leave the list; overrides differ where the proxy changes its place.
    gone = {item.what for item in istio_differences.DIFFERENCES} - seen
    assert gone <= (set() if native else {"proxy.istio.io/overrides"})


@pytest.mark.parametrize("native", [True, False], ids=["native", "regular"])
def test_a_pod_that_istio_injected_before_becomes_the_same_as_one_that_nobody_did(
    istioctl: str, configuration: list[str], native: bool
) -> None:
    settings = InjectionSettings(native_sidecar=native, **SETTINGS)  # type: ignore[arg-type]
    found = {}
    for fresh, before in zip(ours(native=native), theirs(istioctl, configuration, native=native), strict=True):
        name = fresh["metadata"]["name"]
        again = inject_object(before, "default", settings).value
        # What Istio lost or wrote elsewhere (the listed differences) cannot be told from its pod; of a CronJob, all of it.
        problems = [line for line in istio_differences.compare(again, fresh) if not istio_differences.meant(name, line)]
        if problems and name != "scheduled":
            found[name] = problems
    assert not found, json.dumps(found, indent=2)
