"""One pytest process's part in a run: options, implementation, and (once a test needs them) session and verdict.

Light: what is heavy is imported when the session is made.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mesh.contracts import Evidence, Implementation
from pytest_mesh.hooks import Backend, FeatureData
from pytest_mesh.monitor import Curtain, Draw, RunMonitor, TerminalLine, leave_in, terminal_line
from pytest_mesh.options import Options, resolve, unknown
from pytest_mesh.relay import LINES, LIVE, ProgressRelay

if TYPE_CHECKING:
    from pytest_mesh.namespace import MeshNamespace
    from pytest_mesh.report.waivers import Waiver
    from pytest_mesh.session import MeshSession
    from pytest_mesh.suites import Catalogue


USAGE_ERROR = "mesh_usage_error"
"""In what a worker leaves at its end: the lines of the usage error that ended it."""

_WORKERS = "workers"
"""Below the shared directory: a directory for each worker that has a cluster of its own."""


class Run:
    """State of the plugin for one process: the controller, a worker, or the only one."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options: Options = resolve(config, os.environ)
        self.backends: dict[str, Backend] = _merged(config.hook.pytest_mesh_backends(config=config))
        self._check_backend()
        self._implementation: Implementation | None = None
        self._implementation_path = self._find_implementation()
        if self.options.differential:
            from pytest_mesh.implementations.beside import beside

            self._implementation_path = beside(self._implementation_path)
        self._session: MeshSession | None = None
        self._catalogues: Sequence[Catalogue] | None = None
        self._features: dict[str, FeatureData] | None = None
        self.all_collected = True
        """Whether nothing that was to be collected failed to be, or was skipped as a whole."""
        self._relay: ProgressRelay | None = None
        worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.worker = worker is not None
        self._worker_id = str(worker["workerid"]) if worker else ""
        self.sharers = 1 if worker is None or self.options.cluster_per_worker else int(worker["workercount"])
        """Processes that use this process's cluster."""
        self._shared = Path(worker["mesh_shared"]) if worker else None
        self._controller_pid = int(worker["mesh_controller"]) if worker else os.getpid()
        self.evidence: dict[str, Evidence] = {}
        """By node id; on the controller, of the whole run."""
        self.failures = 0
        self.unproven = 0
        self.failed = False
        self.notices: list[str] = []
        """Lines for the terminal's summary."""
        self.lost: dict[str, str] = {}
        """By node id: what a worker was at when it died, and how that was told."""
        self.waivers: Mapping[str, Waiver] = self._read_waivers()
        """Expected failures by check."""
        self.current: pytest.Item | None = None
        """The test that runs in this process."""
        self.waits: list[tuple[float, str, str]] = []
        """The longest waits of each check: seconds, for what, the check (controller only)."""
        self._line: TerminalLine | None = None
        self.monitor = RunMonitor(self._live_draw(worker))
        self._rescued: list[tuple[BaseException, str]] = []
        self._told: set[str] = set()

    # ------------------------------------------------------------ what is known

    @property
    def implementation(self) -> Implementation:
        """Content of the implementation's file; read at first use."""
        if self._implementation is None:
            from pytest_mesh.implementations.loader import ImplementationError, load

            try:
                self._implementation = load(self._implementation_path)
            except ImplementationError as error:
                raise pytest.UsageError(f"{self.options.named('implementation')}: {error}") from error
        return self._implementation

    def other_implementation(self) -> Implementation:
        """Give the one that ``--mesh-differential`` names, as it is installed beside this run's own."""
        from pytest_mesh.implementations.beside import other

        return other(self.config, self.options.differential, self.implementation)

    @property
    def catalogues(self) -> Sequence[Catalogue]:
        """What each suite registered; asked for once."""
        if self._catalogues is None:
            from pytest_mesh import suites

            self._catalogues = suites.catalogues(self.config)
        return self._catalogues

    @property
    def features(self) -> Mapping[str, FeatureData]:
        """Every feature that a suite registered, by id."""
        if self._features is None:
            self._features = {feature.id: feature for one in self.catalogues for feature in one.features}
            if not self._features and not self.worker and self._shared is not None:
                self._features = _read_features(self._shared / "features.json")
        return self._features

    def share_features(self, checks: Mapping[str, tuple[str, str]]) -> None:
        """Tell the controller of the features and the checks (worker only): it collects nothing itself.

        ``checks`` gives each node's check name and feature.
        """
        rows = [{"id": one.id, "profile": one.profile, "level": one.level} for one in self.features.values()]
        for name, data in (("features.json", rows), ("checks.json", checks)):
            partial = self.shared() / f"{name}.{os.getpid()}"
            partial.write_text(json.dumps(data))
            partial.rename(self.shared() / name)

    def told_checks(self) -> Mapping[str, tuple[str, str]]:
        """Give what the workers collected: each node's check name and feature."""
        path = self.shared() / "checks.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def session(self) -> MeshSession:
        """Give this process's session; the first call makes it."""
        if self._session is None:
            own = self._worker_id if self.options.cluster_per_worker else ""
            self._session = self._session_of(own)
        return self._session

    def sessions(self) -> list[MeshSession]:
        """Give a session for each cluster that a process of the run made or found (controller only)."""
        if self._shared is None:
            return []
        own = sorted(path.parent.name for path in self._shared.glob(f"{_WORKERS}/*/cluster.json"))
        found = [self._session_of(worker) for worker in own]
        return [self.session(), *found] if (self._shared / "cluster.json").exists() else found

    def _session_of(self, worker: str) -> MeshSession:
        """Make a session on a worker's own cluster, or ("") on the run's."""
        from pytest_mesh.session import MeshSession

        shared = self.shared() / _WORKERS / worker if worker else self.shared()
        shared.mkdir(mode=0o700, parents=True, exist_ok=True)
        return MeshSession(
            self.options,
            self.backends,
            self.implementation,
            self.progress,
            shared=shared,
            controller_pid=self._controller_pid,
            worker=worker,
        )

    def shared(self) -> Path:
        """Give the directory (mode 0700) that all processes of the run share; made at first use."""
        if self._shared is None:
            self._shared = Path(tempfile.mkdtemp(prefix="pytest-mesh-"))
        return self._shared

    def keeps(self, item: pytest.Item) -> bool:
        """Whether a test's namespace is kept after it."""
        from pytest_mesh.keys import RECORDS

        keep = self.options.keep
        return keep == "always" or (keep == "on-failure" and item.stash[RECORDS].outcome not in {None, "passed"})

    def rescue(self, namespace: MeshNamespace, error: Exception) -> None:
        """Save what a namespace holds when setting it up failed: it is about to be removed."""
        if self.current is None:
            return
        from pytest_mesh.keys import check_name
        from pytest_mesh.report import bundle

        path = bundle.save(self.artifacts, check_name(self.current), str(error), [namespace])
        self._rescued.append((error, str(path)))

    def told(self, error: BaseException) -> bool:
        """Whether this very failure was reported before: what every test needs fails each of them alike."""
        text = str(error)
        known = text in self._told
        self._told.add(text)
        return known

    def rescued(self, error: BaseException) -> str:
        """Give where the evidence of a failed set-up is: tests that share it meet the same exception again."""
        return next((path for one, path in self._rescued if one is error), "")

    @property
    def artifacts(self) -> Path:
        """Directory for the evidence of failures; made when there is some."""
        return self.config.rootpath / self.options.artifacts

    # ------------------------------------------------------------ xdist

    def share(self) -> dict[str, Any]:
        """Make what workers are told (controller only)."""
        shared = self.shared()
        if self._relay is None:
            self._relay = ProgressRelay(shared, self._print, self._line.draw if self._line else None)
        return {"mesh_shared": str(shared), "mesh_controller": os.getpid(), "mesh_live": self._line is not None}

    def hand_over(self, error: pytest.UsageError) -> None:
        """Leave for the controller what is wrong with the run's input (worker only): it travels with the worker's end."""
        self.config.workeroutput[USAGE_ERROR] = [str(line) for line in error.args]  # type: ignore[attr-defined]

    def finish(self) -> None:
        """Remove the cluster (not in a worker), and say where it is when it is kept."""
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if self._line is not None:
            self._line.close()
            self._line = None
            self.monitor = RunMonitor(None)
        if self._session is not None and self.worker:
            self._session.close()
        if self._shared is None or self.worker:
            return
        try:
            for session in self.sessions():
                self._release(session)
        finally:
            shutil.rmtree(self._shared, ignore_errors=True)

    def _release(self, session: MeshSession) -> None:
        started = time.monotonic()
        if self.failed and self.options.cluster != "existing":
            self._save_backend(session)
        try:
            message = session.release(failed=self.failed)
        except Exception as error:  # noqa: BLE001 - the verdict stands; what is left behind must be named
            message = f"cluster: could not be removed: {error}"
        if message:
            self._print(message)
        elif self.options.cluster != "existing":
            self._print(f"cluster: released in {time.monotonic() - started:.1f} s")

    def _save_backend(self, session: MeshSession) -> None:
        from pytest_mesh.kube import Kube
        from pytest_mesh.report import bundle

        try:
            cluster = session.standing()
            path = bundle.save_backend(self.artifacts / "backend" / session.worker, cluster)
            bundle.save_control_plane(path, Kube.load(cluster.kubeconfig), self.implementation)
        except Exception as error:  # noqa: BLE001 - the cluster is removed all the same
            self._print(f"cluster: its logs could not be saved: {error}")
        else:
            self._print(f"cluster: its logs are in {path}")

    # ------------------------------------------------------------ progress

    def progress(self, line: str) -> None:
        """Tell a person who waits; from a worker by way of the controller."""
        if self.worker:
            with (self.shared() / LINES).open("a") as file:
                file.write(line + "\n")
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None:
            return
        self.clear_line()
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            _write_line(reporter, line)
            return
        with capture.global_and_fixture_disabled():
            _write_line(reporter, line)

    def watch(self) -> None:
        """Begin the live line where pytest writes to a terminal (controller only; pytest's reporter is there now)."""
        self._line = terminal_line(self.config.pluginmanager.get_plugin("terminalreporter"))
        if self._line is not None:
            self.monitor = RunMonitor(self._line.draw)
            self.config.pluginmanager.register(Curtain(self._line), "mesh-curtain")

    def clear_line(self) -> None:
        """Take the live line away before something is written in its place."""
        if self.worker:
            self.monitor.clear()
        elif self._line is not None:
            self._line.draw("")

    # ------------------------------------------------------------ inside

    @staticmethod
    def _live_draw(worker: Mapping[str, Any] | None) -> Draw | None:
        if not worker or not worker.get("mesh_live"):
            return None
        return leave_in(Path(worker["mesh_shared"]) / LIVE / f"{worker['workerid']}.line")

    def _check_backend(self) -> None:
        name = self.options.cluster
        if name in self.backends:
            return
        raise pytest.UsageError(unknown(self.options.named("cluster"), name, self.backends))

    def _read_waivers(self) -> Mapping[str, Waiver]:
        if not self.options.expected_failures:
            return {}
        from pytest_mesh.report.waivers import WaiverError, read

        path = Path(self.options.expected_failures)
        try:
            return read(path.read_text(errors="replace"), source=path.name)
        except (OSError, WaiverError) as error:
            raise pytest.UsageError(f"{self.options.named('expected-failures')}: {error}") from error

    def _find_implementation(self) -> Path:
        from pytest_mesh.implementations.choice import choose

        hooked = _merged(self.config.hook.pytest_mesh_implementations(config=self.config))
        if self.options.cluster == "existing" and self.options.sources["implementation"] == "default":
            raise pytest.UsageError(
                "--mesh-cluster=existing: say which mesh is there by --mesh-implementation=NAME|FILE "
                "(pytest-mesh implementation list gives the names)"
            )
        return choose(
            self.options.implementation,
            flag=self.options.named("implementation"),
            hooked=hooked,
            directory=self.config.invocation_params.dir,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFeature:
    """A feature as a worker told of it."""

    id: str
    profile: str
    level: str


def _read_features(path: Path) -> dict[str, FeatureData]:
    if not path.exists():
        return {}
    return {row["id"]: SharedFeature(**row) for row in json.loads(path.read_text())}


def _write_line(reporter: Any, line: str) -> None:
    reporter.ensure_newline()
    reporter.write_line(f"mesh: {line}")


def _merged(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the hook's answers; the plugin called first wins."""
    merged: dict[str, Any] = {}
    for mapping in reversed(mappings):
        merged.update(mapping)
    return merged
