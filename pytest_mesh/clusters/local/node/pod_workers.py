"""One Pod on this node, from its binding to its removal.

Network, volumes, init containers in order, sidecars, containers, status,
termination. It drives :class:`ContainerLife` and writes the Pod's status; it
decides nothing about other Pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from typing import TYPE_CHECKING, Final

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.network.pods import NODE_ADDRESS
from pytest_mesh.clusters.local.node import pod_specs, statuses
from pytest_mesh.clusters.local.node.container_lives import ContainerLife
from pytest_mesh.clusters.local.node.environments import ConfigError
from pytest_mesh.clusters.local.node.parts import now
from pytest_mesh.clusters.local.node.runtime import Sandbox, StartError
from pytest_mesh.clusters.local.node.volumes import PodVolumes
from pytest_mesh.clusters.local.races import first_of

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.node.parts import Parts
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


class PodWorker:
    """See the module."""

    def __init__(self, pod: Json, parts: Parts) -> None:
        self.pod = pod
        self.sandbox = Sandbox(-1, -1, -1)
        self.address = ""
        self._parts = parts
        metadata, spec = pod["metadata"], pod["spec"]
        self.uid: str = metadata["uid"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._directory = parts.scratch / "pods" / self.uid
        self.volumes = PodVolumes(
            self._directory / "volumes",
            fetch=self.fetch,
            request_token=self._request_token,
            allocatable=parts.allocatable,
        )
        policy = spec.get("restartPolicy") or "Always"
        init_policy = "OnFailure" if policy == "Always" else policy
        self.inits = [
            ContainerLife(each, self, parts, init=True, policy="Always" if pod_specs.is_sidecar(each) else init_policy)
            for each in spec.get("initContainers") or ()
        ]
        self.mains = [ContainerLife(each, self, parts, init=False, policy=policy) for each in spec["containers"]]
        for life in (*self.inits, *self.mains) if self.inits else ():
            life.view.state = {"waiting": {"reason": "PodInitializing"}}
        self._started = now()
        self._began = time.monotonic()
        self._failure: tuple[str, str] | None = None
        self._ended = False
        self._deleting = asyncio.Event()
        self._overdue = asyncio.Event()
        self.over = asyncio.Event()
        """Set when nothing of the Pod runs any more and the API knows how it ended."""
        self._most_grace = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._dirty = asyncio.Event()
        self._refresh = asyncio.Event()
        self._sent: Json = {}
        self._group = asyncio.TaskGroup()

    # ------------------------------------------------ what others tell it

    def update(self, pod: Json) -> None:
        """Take the Pod's newest object."""
        changed = pod["metadata"].get("labels") != self.pod["metadata"].get("labels") or pod["metadata"].get(
            "annotations"
        ) != self.pod["metadata"].get("annotations")
        limited = pod["spec"].get("activeDeadlineSeconds") != self.pod["spec"].get("activeDeadlineSeconds")
        self.pod = self._addressed(pod)
        if limited:
            self._set_deadline()
        if changed:
            self._refresh.set()
        if pod["metadata"].get("deletionTimestamp"):
            self._deleting.set()
        elif pod["spec"].get("readinessGates"):
            self.changed()

    def removed(self) -> None:
        """Take notice that the Pod's object is gone: nothing is waited for any more."""
        self.pod = {**self.pod, "metadata": {**self.pod["metadata"], "deletionGracePeriodSeconds": 0}}
        self._deleting.set()
        for life in (*self.inits, *self.mains):
            life.kill()

    def changed(self) -> None:
        """Have the status computed and, if it differs, sent."""
        self._dirty.set()

    def source_changed(self) -> None:
        """Take notice that a ConfigMap or Secret of the Pod's changed."""
        self._refresh.set()
        for life in (*self.inits, *self.mains):
            life.poke()

    def uses(self, kind: str, name: str) -> bool:
        """Tell whether the Pod takes anything from that ConfigMap or Secret."""
        return (kind, name) in pod_specs.sources(self.pod["spec"])

    def life(self, name: str) -> ContainerLife | None:
        """Give the container of that name."""
        return next((life for life in (*self.inits, *self.mains) if life.name == name), None)

    # ------------------------------------------------------------ its life

    async def run(self) -> None:
        """Run the Pod until it is deleted and gone."""
        try:
            async with self._group:
                reporter = self._group.create_task(self._report())
                life = self._group.create_task(self._live())
                self._set_deadline()
                await first_of(self._deleting.wait(), self._overdue.wait())
                life.cancel()
                await self._terminate()
                await self._flush(once=True)
                self.over.set()
                await self._deleting.wait()
                reporter.cancel()
                await self._flush(once=True)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._release()
        await self._confirm_deletion()

    def _set_deadline(self) -> None:
        """Have the Pod end when its activeDeadlineSeconds are over, counted from when the node took it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        if seconds is not None:
            left = self._began + seconds - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left), self._exceed_deadline)

    def _exceed_deadline(self) -> None:
        if self._ended or self._deleting.is_set():
            return
        self._fail("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

    def shut_down(self, grace: float) -> None:
        """End the Pod, within ``grace`` seconds, because the node goes; :attr:`over` tells when that is done."""
        self._most_grace = grace
        if self._deleting.is_set():
            return
        if self._ended:
            self.over.set()
            return
        self._fail("Terminated", "Pod was terminated in response to imminent node shutdown.")

    def _fail(self, reason: str, message: str) -> None:
        self._parts.events.record(self.pod, "Normal", reason, message)
        self._failure = (reason, message)
        self._overdue.set()

    async def _live(self) -> None:
        self.changed()
        missing = pod_specs.unsupported(self.pod)
        if missing:
            message = f"the embedded cluster cannot run this Pod: {'; '.join(missing)}"
            self._parts.events.record(self.pod, "Warning", "Unsupported", message)
            self._failure = ("Unsupported", message)
            self._end()
            return
        await self._make_sandbox()
        await self._mount()
        keeper = self._group.create_task(self._keep_volumes())
        try:
            if await self._initialize():
                for life in self.mains:
                    life.launch(self._group)
                    await first_of(life.began.wait(), life.ended.wait())
                for life in self.mains:
                    await life.ended.wait()
            await self._stop_sidecars(self._grace())
        finally:
            keeper.cancel()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self.changed()

    async def _make_sandbox(self) -> None:
        spec = self.pod["spec"]
        own = not spec.get("hostNetwork")
        settings = [
            (entry["name"].replace(".", "/"), entry["value"])
            for entry in (spec.get("securityContext") or {}).get("sysctls") or ()
        ]
        while True:
            address = self._parts.addresses.take() if own else NODE_ADDRESS
            try:
                self.sandbox = await self._parts.runtime.sandbox(
                    address if own else "", pod_specs.hostname(self.pod), settings
                )
                break
            except BaseException as error:
                if own:
                    self._parts.addresses.release(address)
                if not isinstance(error, StartError):
                    raise
                message = f"Failed to create pod sandbox: {error}"
                self._parts.events.record(self.pod, "Warning", "FailedCreatePodSandBox", message)
            await asyncio.sleep(_RETRY_SECONDS)
        self.address = address
        self.pod = self._addressed(self.pod)
        self.changed()

    def _addressed(self, pod: Json) -> Json:
        """Give the Pod with its addresses: an object that was read before they were told must not take them back."""
        if not self.address:
            return pod
        own = {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        node = {"hostIP": NODE_ADDRESS, "hostIPs": [{"ip": NODE_ADDRESS}]}
        return {**pod, "status": {**(pod.get("status") or {}), **own, **node}}

    async def _mount(self) -> None:
        reported = ""
        while True:
            self._refresh.clear()
            try:
                await self.volumes.update(self._seen())
            except (ConfigError, ApiError) as error:
                if str(error) != reported:
                    reported = str(error)
                    self._parts.events.record(self.pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
            else:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._refresh.wait()

    async def _keep_volumes(self) -> None:
        """Refresh volumes whenever a source changes or a token is due."""
        while True:
            due = self.volumes.renew_at - time.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due == float("inf") else max(due, 0.0)):
                    await self._refresh.wait()
            await self._mount()

    async def _initialize(self) -> bool:
        """Run the init containers and start the sidecars, in order; False when one has failed for good."""
        for life in self.inits:
            life.launch(self._group)
            if pod_specs.is_sidecar(life.spec):
                await first_of(life.started.wait(), life.ended.wait())
            else:
                await life.ended.wait()
                if life.view.exit_code != 0:
                    return False
        for life in self.mains:
            life.view.state = {"waiting": {"reason": "ContainerCreating"}}
        self.changed()
        return True

    async def _terminate(self) -> None:
        """End the containers: first all but the sidecars, then those, last started first, within one grace period."""
        deadline = time.monotonic() + self._grace()
        plain = [life for life in (*self.inits, *self.mains) if not pod_specs.is_sidecar(life.spec)]
        async with asyncio.TaskGroup() as group:
            for life in plain:
                if life.launched:
                    group.create_task(life.stop(self._grace()))
        await self._stop_sidecars(deadline - time.monotonic() if self._grace() else 0.0)
        if not self._ended:
            self._end()

    async def _stop_sidecars(self, grace: float) -> None:
        for life in reversed(self.inits):
            if pod_specs.is_sidecar(life.spec) and life.launched:
                await life.stop(max(grace, 0.0 if self._grace() == 0 else 2.0))

    def _grace(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        value = metadata.get("deletionGracePeriodSeconds") if self._deleting.is_set() else None
        if value is None:
            value = spec.get("terminationGracePeriodSeconds")
        return min(30.0 if value is None else float(value), self._most_grace)

    def _release(self) -> None:
        self.sandbox.close()
        if self.address and self.address != NODE_ADDRESS:
            self._parts.addresses.release(self.address)
        asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, self._directory, True)

    # ------------------------------------------------------------- the API

    async def fetch(self, kind: str, name: str) -> Json | None:
        """Give a ConfigMap or Secret of the Pod's namespace (``configmaps``/``secrets``), or None."""
        try:
            return await self._parts.client.get(f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/{kind}/{name}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _request_token(self, spec: Json) -> Json:
        metadata = self.pod["metadata"]
        account = self.pod["spec"].get("serviceAccountName") or "default"
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec}
        return await self._parts.client.create(path, body)

    async def _report(self) -> None:
        while True:
            await self._dirty.wait()
            await self._flush()

    async def _flush(self, *, once: bool = False) -> None:
        """Send the status if it differs from what was sent last; try again while the API cannot be reached.

        A status that is refused is tried again, too, but not ``once`` the Pod ends: no refusal keeps it from that.
        """
        while self._dirty.is_set():
            self._dirty.clear()
            status = statuses.status(self._seen(), self._facts(), now())
            if not statuses.differs(self._sent, status):
                return
            try:
                await self._parts.client.patch(
                    f"{self._path}/status", {"metadata": {"uid": self.uid}, "status": status}
                )
            except ApiError as error:
                if error.status in {404, 409}:
                    return  # the object is gone, or another Pod has its name
                self._dirty.set()
                refused = 400 <= error.status < 500
                log.log(logging.ERROR if refused else logging.WARNING, "status of %s not sent: %s", self._path, error)
                if refused and once:
                    return
                await asyncio.sleep(_RETRY_SECONDS if refused else 0.2)
            else:
                self._sent = status

    def _seen(self) -> Json:
        """Give the Pod with the conditions that were sent last, and the address that it has."""
        old = {**(self.pod.get("status") or {})}
        if self._sent:
            foreign = [c for c in old.get("conditions") or () if not _is_ours(c)]
            old["conditions"] = [*foreign, *(c for c in self._sent["conditions"] if _is_ours(c))]
        if self.address:
            old |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}
            old |= {"hostIP": NODE_ADDRESS, "hostIPs": [{"ip": NODE_ADDRESS}]}
        return {**self.pod, "status": old}

    def _facts(self) -> statuses.Facts:
        return statuses.Facts(
            inits=[life.view for life in self.inits],
            mains=[life.view for life in self.mains],
            address=self.address,
            host_address=NODE_ADDRESS,
            started=self._started,
            ended=self._ended,
            failure=self._failure,
        )

    async def _confirm_deletion(self) -> None:
        options: Json = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.uid},
        }
        while True:
            try:
                await self._parts.client.delete(self._path, options)
            except ApiError as error:
                if error.status in {404, 409}:
                    return
                log.warning("%s: deletion not confirmed: %s", self._path, error)
                await asyncio.sleep(0.2)
            else:
                return


def _is_ours(condition: Json) -> bool:
    return condition["type"] in {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
