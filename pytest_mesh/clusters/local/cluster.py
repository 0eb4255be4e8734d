"""The handle of an embedded cluster: start it, find it, fill its image table, end it.

Synchronous and light: it starts one process and talks to it by files, signals and the
owner's socket. It speaks no Kubernetes; for that there is the kubeconfig.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from pytest_mesh.clusters.local import control, state
from pytest_mesh.contracts import Image, Restored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mesh.contracts import Json, Progress

_READY_SECONDS: Final = 30.0
"""Far beyond what a start takes (below one second), so that a slow machine is not a failure."""
PROGRAMS: Final = ("kube-apiserver", "etcd")
"""What ``assets`` must hold."""
_REAL_READY_SECONDS: Final = 100.0
"""A real kube-apiserver takes some ten seconds on two cores."""
_END_SECONDS: Final = 10.0


class LocalClusterError(Exception):
    """The cluster could not be started, found or ended; the text says why and what to do."""


class LocalCluster:
    """A running embedded cluster (a ``contracts.Cluster``)."""

    backend: str = "local"
    _children: ClassVar[dict[int, subprocess.Popen[bytes]]] = {}
    """Clusters that this process started, by pid: a child must be waited for."""

    def __init__(self, directory: Path, held: state.State) -> None:
        self.directory = directory
        self.name = held.name
        self.kubeconfig = directory / "kubeconfig"
        self._state = held

    @classmethod
    def start(
        cls,
        name: str = "mesh",
        run_dir: Path | None = None,
        lifeline: bool | int = True,
        progress: Progress = lambda _: None,
        assets: Path | None = None,
    ) -> Self:
        """Start a cluster; returns when its API answers.

        ``lifeline`` is the process whose end ends the cluster: this one (True),
        another (its pid), or none (False). ``assets`` is a folder with the
        programs kube-apiserver and etcd, which then take the place of the
        embedded API server. Raises LocalClusterError when one of
        that name runs already or when the start fails.
        """
        if assets is not None and (lacking := [name for name in PROGRAMS if not os.access(assets / name, os.X_OK)]):
            raise LocalClusterError(f"{assets} has no program {', '.join(lacking)}: name a folder that has both")
        began = time.monotonic()
        directory = (run_dir or state.default_directory(name)).absolute()
        with state.lock(directory):
            held = state.read(directory)
            if held is not None and held.alive:
                raise LocalClusterError(
                    f"cluster {name!r} runs already (pid {held.pid}, {directory}): use it, or end it with "
                    f"`pytest-mesh cluster down`"
                )
            _remove_stale(directory)
            (directory / "logs").mkdir(mode=0o700, parents=True)
            directory.chmod(0o700)
            (directory / "images.json").write_text("{}")
            try:
                cluster = cls._launch(directory, name, lifeline, assets)
            except BaseException as error:
                state.remove(directory)
                if isinstance(error, OSError):
                    raise LocalClusterError(f"the cluster did not start ({directory}): {error}") from error
                raise
        progress(f"cluster: API ready in {time.monotonic() - began:.1f} s")
        return cluster

    @classmethod
    def _launch(cls, directory: Path, name: str, lifeline: bool | int, assets: Path | None) -> Self:
        ready, says = os.pipe()
        fds = [says]
        arguments = ["--run-dir", str(directory), "--name", name, "--ready-fd", str(says)]
        if assets is not None:
            arguments += ["--assets", str(assets.absolute())]
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, ready)
            saying = stack.enter_context(os.fdopen(says, "wb"))
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
            fds.append(listener.fileno())
            arguments += ["--listen-fd", str(listener.fileno())]
            if lifeline is not False:
                pidfd = _pidfd(os.getpid() if lifeline is True else lifeline)
                stack.callback(os.close, pidfd)
                fds.append(pidfd)
                arguments += ["--lifeline-pidfd", str(pidfd)]
            log = stack.enter_context((directory / "logs" / "init.log").open("ab"))
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest_mesh.clusters.local.node.init", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=fds,
                start_new_session=True,
                cwd="/",
            )
            saying.close()
            try:
                answer = _read_answer(ready, _READY_SECONDS if assets is None else _REAL_READY_SECONDS)
                if answer != "ready\n":
                    answer = answer or _tail(directory / "logs" / "init.log")
                    raise LocalClusterError(f"the cluster did not start ({directory}):\n{answer.strip()}")
                held = state.read(directory)
                if held is None:
                    raise LocalClusterError(f"the cluster wrote no {directory}/state.json")
            except BaseException:
                _end(process.pid, process)
                raise
        cls._children[process.pid] = process
        return cls(directory, held)

    @classmethod
    def attach(cls, handle: Json) -> Self:
        """Give a cluster from what :meth:`handle` gave; LocalClusterError when it is gone."""
        directory = Path(handle["run_dir"])
        held = state.read(directory)
        if held is None or not held.alive or (held.pid, held.started) != (handle["pid"], handle["started"]):
            raise LocalClusterError(f"cluster {handle['name']!r} in {directory} is gone: start it again")
        return cls(directory, held)

    @classmethod
    def find(cls, name: str = "mesh", run_dir: Path | None = None) -> Self | None:
        """Give the running cluster of that name by its state file, or None."""
        directory = (run_dir or state.default_directory(name)).absolute()
        held = state.read(directory)
        if held is None or not held.alive or (directory / "failed").exists():
            return None
        return cls(directory, held)

    @property
    def server(self) -> str:
        """The API server's URL on the host."""
        return f"https://127.0.0.1:{self._state.port}"

    def add_images(self, images: Mapping[str, Image], progress: Progress = lambda _: None) -> None:
        """Add rows to the image table; the node reads it at each container start."""
        if not images:
            return
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            path = self.directory / "images.json"
            table = json.loads(path.read_text())
            table.update({name: image.to_json() for name, image in images.items()})
            state.write_atomically(path, json.dumps(table, indent=1))
        finally:
            os.close(fd)
        progress(f"cluster: images {', '.join(sorted(images))}")

    def reset_watches(self) -> str:
        """Do to clients what a restart of the API server's watch cache does to them; gives the resource version.

        Every open watch ends with 410 Expired, and one from any version before is refused alike: whoever follows the
        cluster must list anew. No object changes. Raises LocalClusterError.
        """
        return str(self._ask("POST", "/watches/reset")["resourceVersion"])

    def snapshot(self) -> str:
        """Keep what the API holds; gives the snapshot's id. Costs no copy: objects are shared."""
        return str(self._ask("POST", "/snapshots")["id"])

    def restore(self, snapshot: str, *, seconds: float = 10.0) -> Restored:
        """Go back to a snapshot, which stays: the difference as ordinary deletions, creations and updates.

        ``seconds`` is the time that controllers get to take their finalizers away. Raises LocalClusterError.
        """
        found = self._ask("POST", f"/snapshots/{snapshot}/restoration", {"seconds": seconds})
        return Restored(**{**found, "forced": tuple(found["forced"])})

    def forget(self, snapshot: str) -> None:
        """Drop a snapshot. Idempotent."""
        self._ask("DELETE", f"/snapshots/{snapshot}")

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        try:
            return control.ask(self.directory, method, path, body)
        except control.ControlError as error:
            raise LocalClusterError(f"cluster {self.name!r}: {error}") from error

    def handle(self) -> Json:
        """Give what :meth:`attach` needs, in this or another process."""
        return {
            "backend": self.backend,
            "name": self.name,
            "run_dir": str(self.directory),
            "kubeconfig": str(self.kubeconfig),
            "pid": self._state.pid,
            "started": self._state.started,
        }

    def collect(self, directory: Path) -> None:
        """Copy the logs of init, API server, node and containers below ``directory``; never raises."""
        try:
            shutil.copytree(self.directory / "logs", directory / "cluster", dirs_exist_ok=True)
        except OSError as error:  # shutil.Error is one: some were copied, and it names the others
            with contextlib.suppress(OSError):
                (directory / "cluster.txt").write_text(f"the cluster's logs could not be had: {error}\n")

    def down(self, grace: float = 0.0) -> None:
        """End every process of the cluster and remove its run directory. Idempotent.

        With ``grace`` the node is shut down first: the pods have so many seconds
        for their hooks and to end by themselves.
        """
        if grace > 0 and self._state.alive:
            (self.directory / state.SHUTDOWN_FILE).write_text(str(grace))
            _shut_down(self._state.pid, grace)
        if self._state.alive:
            _end(self._state.pid, self._children.pop(self._state.pid, None))
        held = state.read(self.directory)
        if held is None or not held.alive:
            state.remove(self.directory)


def _pidfd(lifeline: int) -> int:
    try:
        return os.pidfd_open(lifeline)
    except ProcessLookupError as error:
        raise LocalClusterError(
            f"process {lifeline}, whose end is to end the cluster, is gone: name one that runs, or none"
        ) from error


def _read_answer(ready: int, seconds: float) -> str:
    """Read until the other end closes: ``ready`` and a newline, or why not."""
    deadline = time.monotonic() + seconds
    text = b""
    while text != b"ready\n":
        if not select.select([ready], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return f"no answer within {seconds:.0f} s"
        part = os.read(ready, 65536)
        if not part:
            break
        text += part
    return text.decode(errors="replace")


def _remove_stale(directory: Path) -> None:
    if not directory.exists():
        return
    known = {"state.json", "logs", "images.json", "failed", "kubeconfig"}
    if any(directory.iterdir()) and not known & {entry.name for entry in directory.iterdir()}:
        raise LocalClusterError(f"{directory} is not a cluster's run directory: empty it, or name another")
    shutil.rmtree(directory)


def _shut_down(pid: int, grace: float) -> None:
    """Tell the cluster's process to shut its node down; returns when it is gone, or has had time enough."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, state.SHUT_DOWN)
            select.select([pidfd], [], [], grace + _END_SECONDS)
        finally:
            os.close(pidfd)


def _end(pid: int, child: subprocess.Popen[bytes] | None) -> None:
    """Ask the process to end, then make it; returns when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        pidfd = -1
    if pidfd >= 0:
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], _END_SECONDS)[0]:
                    break
        finally:
            os.close(pidfd)
    if child is not None:
        child.wait()


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")[-3000:]
    return ""
