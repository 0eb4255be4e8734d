"""One container of a Pod through all its runs: image, configuration, start, hooks, probes, restarts, end.

Tells the Pod's worker of each change of state and is told by it when to stop.
It knows nothing of the other containers, nor of the API beyond the events it
records and the ConfigMaps and Secrets its environment is taken from.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import shutil
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.node import configurations, container_logs, images, pod_specs, probes, processes
from pytest_mesh.clusters.local.node.blueprints import Blueprint, Command, Identity
from pytest_mesh.clusters.local.node.container_logs import RunLog
from pytest_mesh.clusters.local.node.environments import ConfigError
from pytest_mesh.clusters.local.node.parts import now
from pytest_mesh.clusters.local.node.runtime import StartError
from pytest_mesh.clusters.local.node.statuses import ContainerState
from pytest_mesh.clusters.local.races import first_of

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mesh.clusters.local.node.parts import Parts
    from pytest_mesh.clusters.local.node.runtime import Process, Sandbox
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_BACK_OFF_FIRST: Final = 10.0
_BACK_OFF_LONGEST: Final = 300.0
_BACK_OFF_FORGOTTEN: Final = 600.0
"""Seconds: a kubelet's numbers. The first restart is immediate."""
_RETRY_SECONDS: Final = 1.0
"""How often a missing image, ConfigMap or Secret is looked for again."""
_HOOK_SECONDS: Final = 30.0
_TERMINATION_MESSAGE: Final = 4096


class Owner(configurations.Owner, Protocol):
    """The Pod's worker, as its containers see it."""

    sandbox: Sandbox

    def changed(self) -> None: ...


class ContainerLife:
    """See the module."""

    def __init__(self, spec: Json, owner: Owner, parts: Parts, *, init: bool, policy: str) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.view = ContainerState(spec=spec)
        self.process: Process | None = None
        self.stdio: processes.Stdio | None = None
        self.logs: list[RunLog] = []
        self.began = asyncio.Event()
        """Set once the program runs and its postStart hook is through: the next container may start."""
        self.started = asyncio.Event()
        """Set once the startup probe has succeeded, or at once without one."""
        self.ended = asyncio.Event()
        """Set when the container has ended and will not be started again."""
        self.launched = False
        self._owner = owner
        self._parts = parts
        self._init = init
        self._policy = policy
        """Always, OnFailure or Never."""
        self._stopping = asyncio.Event()
        self._poked = asyncio.Event()
        self._blueprint: Blueprint | None = None

    def launch(self, group: asyncio.TaskGroup) -> None:
        """Begin the container's life in the Pod's task group."""
        self.launched = True
        group.create_task(self._run())

    async def _run(self) -> None:
        """Run the container, again and again if its policy says so, until it has ended for good."""
        back_off = 0.0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                code = await self._run_once()
                if code is None or not self._again(code):
                    return
                if time.monotonic() - began > _BACK_OFF_FORGOTTEN:
                    back_off = 0.0
                await self._back_off(back_off)
                back_off = min(max(back_off * 2, _BACK_OFF_FIRST), _BACK_OFF_LONGEST)
        finally:
            self.view.ready = self._init and self.view.exit_code == 0
            self.ended.set()
            self._owner.changed()

    async def stop(self, grace: float) -> None:
        """End the container: preStop, SIGTERM, and SIGKILL after ``grace`` seconds in all. Returns when it is gone."""
        if self._stopping.is_set() or self.ended.is_set():
            await self.ended.wait()
            return
        self._stopping.set()
        await self._kill(grace, f"Stopping container {self.name}")
        await self.ended.wait()

    def kill(self) -> None:
        """End the container at once, without hooks and grace."""
        self._stopping.set()
        if self.process is not None:
            self.process.signal(9)

    def poke(self) -> None:
        """Try again at once: something that may have been missing has changed."""
        self._poked.set()

    async def execute(self, argv: tuple[str, ...], seconds: float) -> tuple[int, str]:
        """Run a command in the container; (code, output), TimeoutError when it takes longer."""
        if self.process is None:
            return 1, "the container is not running"
        try:
            return await processes.collect(self._parts.runtime, self.process, self.command(argv), seconds=seconds)
        except StartError as error:
            return 126, str(error)

    def command(self, argv: tuple[str, ...], *, tty: bool = False) -> Command:
        """Give a command with the container's identity, environment and working directory."""
        blueprint = self._blueprint
        identity = blueprint.identity if blueprint else Identity()
        env = blueprint.env if blueprint else {}
        return Command(
            argv=argv,
            identity=identity,
            env={**env, "TERM": "xterm"} if tty else env,
            directory=self.spec.get("workingDir") or "/",
            tty=tty,
        )

    async def _run_once(self) -> int | None:
        """Start the container and wait for its end; its code, or None when it was stopped before it began."""
        prepared = await self._prepare()
        if prepared is None:
            return None
        blueprint = prepared
        pod, runtime = self._owner.pod, self._parts.runtime
        run_log = RunLog(self.log_directory / f"{self.view.restarts}.log")
        self.logs.append(run_log)
        stdin, tty = bool(self.spec.get("stdin")), bool(self.spec.get("tty"))
        stdio = processes.Stdio(run_log.write, stdin=stdin, tty=tty)
        self.view.identifier = pod_specs.container_id(pod["metadata"]["uid"], self.name, self.view.restarts)
        started_at = now()
        self._event("Normal", "Created", f"Created container: {self.name}")
        try:
            with stdio.handed_over() as fds:
                self.process = await runtime.run(blueprint, self._owner.sandbox, fds)
        except StartError as error:
            stdio.close()
            run_log.close()
            self._event("Warning", "Failed", f"Error: failed to start container: {error}")
            self._terminated(128, "StartError", str(error), started_at)
            self._remove_layer(blueprint)
            return 128
        self.stdio = stdio
        process = self.process
        if self._stopping.is_set():
            process.signal(9)
        self._event("Normal", "Started", f"Started container {self.name}")
        self.view.state = {"running": {"startedAt": started_at}}
        self.view.started = self.view.ready = False
        if not self.spec.get("startupProbe") and not (self.spec.get("lifecycle") or {}).get("postStart"):
            self._is_started()
        self._owner.changed()
        try:
            async with asyncio.TaskGroup() as group:
                attendance = group.create_task(self._attend(process))
                code = await asyncio.shield(process.exited)
                attendance.cancel()
        finally:
            process.signal(9)
        self.process = None
        self.stdio = None
        await stdio.drain()
        run_log.close()
        message = self._termination_message(blueprint, code, run_log.path)
        self._terminated(code, "", message, started_at)
        self._remove_layer(blueprint)
        return code

    async def _prepare(self) -> Blueprint | None:
        """Find the image and build the configuration; wait for what is missing. None when stopped meanwhile."""
        reported = ""
        while not self._stopping.is_set():
            self._poked.clear()
            try:
                image = images.load(self._parts.directory / "images.json", self.spec["image"])
                blueprint = await configurations.configure(
                    self.spec, self._owner, self._parts, image, restarts=self.view.restarts
                )
            except images.UnknownImageError as error:
                reason, event, message = "ErrImagePull", "Failed", str(error)
                if self.spec.get("imagePullPolicy") == "Never":
                    reason, event = "ErrImageNeverPull", "ErrImageNeverPull"
                    message = (
                        f'Container image "{self.spec["image"]}" is not present with pull policy of Never; {error}'
                    )
            except (ConfigError, ApiError, KeyError, TypeError, ValueError) as error:
                reason, event, message = "CreateContainerConfigError", "Failed", str(error)
            else:
                self._blueprint = blueprint
                self.view.user = blueprint.identity.shown()
                if not reported and self.view.restarts == 0:
                    present = f'Container image "{self.spec["image"]}" already present on machine'
                    self._event("Normal", "Pulled", present)
                return blueprint
            if message != reported:
                reported = message
                self._event("Warning", event, f"Error: {reason}: {message}")
            self.view.state = {"waiting": {"reason": reason, "message": message}}
            self._owner.changed()
            await first_of(self._poked.wait(), self._stopping.wait(), seconds=_RETRY_SECONDS)
        self._terminated(137, "Error", "the Pod was stopped before this container could start", now())
        return None

    async def _attend(self, process: Process) -> None:
        """Run the postStart hook and then the probes, until cancelled."""
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook:
            problem = await self._hook(hook, _HOOK_SECONDS * 10)
            if problem:
                self._event("Warning", "FailedPostStartHook", f"PostStartHook failed: {problem}")
                await self._kill(self._grace(), f"FailedPostStartHook of container {self.name}")
                return
        self.began.set()
        startup = self.spec.get("startupProbe")
        if startup:
            await self._watch("startup", startup, process)
        self._is_started()
        async with asyncio.TaskGroup() as group:
            for kind in ("readiness", "liveness"):
                probe = self.spec.get(f"{kind}Probe")
                if probe:
                    group.create_task(self._watch(kind, probe, process))

    def _is_started(self) -> None:
        self.view.started = True
        if not self.spec.get("readinessProbe"):
            self.view.ready = True
        self.began.set()
        self.started.set()
        self._owner.changed()

    async def _watch(self, kind: str, probe: Json, process: Process) -> None:
        killed = False

        async def attempt() -> str:
            return await self._parts.prober.attempt(probe, self.spec, self._owner.address, self.execute)

        def decided(success: bool, message: str) -> bool:
            nonlocal killed
            if not success:
                self._event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {message}")
            if kind == "readiness":
                if self.view.ready is not success and not self._stopping.is_set():
                    self.view.ready = success
                    self._owner.changed()
                return False
            if success:
                return kind == "startup"
            killed = True
            return True

        await probes.watch(probe, attempt, decided, eager=kind != "liveness")
        if killed and process.running:
            grace = float(probe.get("terminationGracePeriodSeconds") or self._grace())
            reason = f"Container {self.name} failed {kind} probe, will be restarted"
            await self._kill(grace, reason)
            await asyncio.Event().wait()  # the end of the process ends this

    async def _kill(self, grace: float, message: str) -> None:
        process = self.process
        if process is None or not process.running:
            return
        self._event("Normal", "Killing", message)
        deadline = time.monotonic() + grace
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            problem = await self._hook(hook, grace)
            if problem:
                self._event("Warning", "FailedPreStopHook", f"PreStopHook failed: {problem}")
        if grace > 0:
            process.signal(15)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(deadline - time.monotonic(), 2.0 if hook else 0.0)):
                    await asyncio.shield(process.exited)
        process.signal(9)

    async def _hook(self, action: Json, seconds: float) -> str:
        """Run a lifecycle hook; empty when it succeeded."""
        if "sleep" in action:
            await asyncio.sleep(min(float(action["sleep"]["seconds"]), seconds))
            return ""
        if "httpGet" in action:
            return await self._parts.prober.http_get(action["httpGet"], self.spec, self._owner.address, seconds)
        try:
            code, output = await self.execute(tuple(action["exec"]["command"]), seconds)
        except TimeoutError:
            return f"command timed out after {seconds:.0f}s"
        return "" if code == 0 else f"command ended with code {code}: {output.strip()}"

    def _again(self, code: int) -> bool:
        if self._stopping.is_set():
            return False
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    async def _back_off(self, seconds: float) -> None:
        self.view.last = self.view.state
        self.view.restarts += 1
        if seconds:
            metadata = self._owner.pod["metadata"]
            text = f"back-off {seconds:.0f}s restarting failed container={self.name} pod={metadata['name']}_{metadata['namespace']}"
            self._event(
                "Warning", "BackOff", f"Back-off restarting failed container {self.name} in pod {metadata['name']}"
            )
            self.view.state = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
            self._owner.changed()
            await first_of(self._stopping.wait(), seconds=seconds)
            if self._stopping.is_set():
                self.view.state, self.view.last = self.view.last, {}
                self.view.restarts -= 1

    def _terminated(self, code: int, reason: str, message: str, started_at: str) -> None:
        shown = 128 - code if code < 0 else code
        terminated: Json = {
            "exitCode": shown,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "startedAt": started_at,
            "finishedAt": now(),
        }
        if message:
            terminated["message"] = message
        if self.view.identifier:
            terminated["containerID"] = self.view.identifier
        if code < 0:
            terminated["signal"] = -code
        self.view.state = {"terminated": terminated}
        self.view.ready = self.view.started = False
        self._owner.changed()

    def _termination_message(self, blueprint: Blueprint, code: int, log_path: Path) -> str:
        file = blueprint.mounts[-1].source
        with open(file, "rb") as text:  # noqa: PTH123
            message = text.read(_TERMINATION_MESSAGE).decode(errors="replace")
        if not message and code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            with log_path.open("rb") as lines:
                container_logs.near_the_end(lines)
                last = [container_logs.shown(line) for line in lines.readlines()[-80:]]
            message = b"".join(last)[-2048:].decode(errors="replace")
        return message

    def _remove_layer(self, blueprint: Blueprint) -> None:
        asyncio.get_running_loop().run_in_executor(None, functools.partial(shutil.rmtree, blueprint.layer, True))

    def _grace(self) -> float:
        value = self._owner.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if value is None else float(value)

    @property
    def log_directory(self) -> Path:
        """Where this container's runs are logged, one numbered file each."""
        metadata = self._owner.pod["metadata"]
        pod = f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"
        return self._parts.directory / "logs" / "pods" / pod / self.name

    def _event(self, kind: Any, reason: str, message: str) -> None:
        self._parts.events.record(self._owner.pod, kind, reason, message, container=self.name, init=self._init)
