"""A real Chromium without a window, and the pages that it opens from files."""

from __future__ import annotations

import importlib.metadata
import shutil
from dataclasses import dataclass

import pytest

from pytest_mesh.contracts import Evidence, Implementation
from pytest_mesh.report import model, page

MESH = Implementation(
    name="acme",
    organization="acme",
    project="acme-mesh",
    url="https://acme.example",
    version="2.1",
    contact=("x",),
    features="all",
)
SPLIT = {
    "requests": 2800,
    "shares": {"v1": 0.8, "v2": 0.2},
    "delta": 0.05,
    "alpha": 1e-6,
    "beta": 0.001,
    "gateSeconds": 0.2,
}


@dataclass(frozen=True)
class Feature:
    id: str
    profile: str
    level: str = "core"


FEATURES = [
    Feature("VSWeightedSplit", "ISTIO-ROUTING"),
    Feature("VSHeaderExact", "ISTIO-ROUTING"),
    Feature("VSMirror", "ISTIO-ROUTING", "extended"),
    Feature("RotationNoLoss", "MESH-IDENTITY"),
]


def report(*, failing: bool):
    counts = {"v1": 2115, "v2": 685} if failing else {"v1": 2241, "v2": 559}
    split = Evidence(
        check="mesh_conformance/routing/test_seed.py::test_weights_share_out_the_requests_within_five_points",
        feature="VSWeightedSplit",
        outcome="failed" if failing else "passed",
        seconds=1.2,
        facts={**SPLIT, "counts": counts, "eValue": 1.5e6 if failing else 0.2},
        message="http://reviews: v1 75.54 % (claimed 80 %)\n<script>alert('no')</script>" if failing else "",
        bundle="/tmp/evidence" if failing else "",
    )
    others = [
        Evidence(
            check=f"mesh_conformance/routing/test_seed.py::test_near_miss[{n}]",
            feature="VSHeaderExact",
            outcome="passed",
            seconds=0.2,
            facts={"gate": "marker", "gateSeconds": 0.1 + 0.02 * n},
        )
        for n in range(6)
    ]
    rotation = Evidence(
        check="mesh_conformance/identity/test_rotation.py::test_rotates",
        feature="RotationNoLoss",
        outcome="passed",
        seconds=40,
        facts={"requests": 4000, "timeline": ["1.5 s: control plane up", "17.6 s: everybody has renewed"]},
    )
    return model.build(
        [split, *others, rotation],
        FEATURES,
        implementation=MESH,
        suite={"name": "mesh_conformance", "version": "0.1.0", "seed": 0},
        environment={"provider": "kind", "kubernetes": "v1.34.4", "nodes": 1},
        date="2026-01-01T00:00:00Z",
        exit_code=int(failing),
    )


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core, which the package axe-playwright-python carries."""
    listed = importlib.metadata.files("axe-playwright-python") or ()
    return next(one for one in listed if one.name == "axe.min.js").locate().read_text()


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    from selenium import webdriver  # make browser installs it

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as started:
        yield started


@pytest.fixture
def browser(driver):
    """The browser as a desktop in light colours; what a test emulates ends with it."""
    yield driver
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="session", params=["passing", "failing"])
def any_page(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"), failing=request.param == "failing")


@pytest.fixture(scope="session")
def failing_page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"), failing=True)


def write(directory, *, failing):
    path = directory / "report.html"
    path.write_text(page.render(report(failing=failing), lambda _: {"applied.yaml": "kind: VirtualService\n" * 40}))
    return path.as_uri()
