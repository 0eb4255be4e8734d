"""The spawner: the small single-threaded process that forks for the node.

The node's process runs an event loop and libraries with threads; it never
forks. It sends requests (JSON plus file descriptors) over a Unix socket, the
spawner forks a child per request and reports each child's end. It keeps no
state but the children that live, and decides nothing about Pods.

A request carries the sending end of a reply socket as its first descriptor.
Whoever handles the request answers there: ``{"error": ...}``, or what was
asked for; closing without an error means that the program was started.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pytest_mesh.clusters.local import namespaces as ns
from pytest_mesh.clusters.local.network import pods
from pytest_mesh.clusters.local.node import messages, roots
from pytest_mesh.clusters.local.node.blueprints import Blueprint, Command, Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Spawner:
    """Serves one control socket until its other end closes."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, str] = {}  # pid -> id
        self._own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._own_net = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def serve(self) -> None:
        """Handle requests and dead children until the node closes its end."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._control.fileno(), select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == wake:
                    os.read(wake, 4096)
                    self._reap()
                elif not self._handle():
                    return

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._children.pop(pid, "")
            if name:
                code = os.waitstatus_to_exitcode(status)
                messages.send(self._control, {"exit": name, "code": code})

    def _handle(self) -> bool:
        request, fds = messages.receive(self._control)
        if request is None:
            return False
        if request["op"] == "signal":
            self._signal(request)
            return True
        with socket.socket(fileno=fds[0]) as reply:
            try:
                self._operations[request["op"]](self, request, reply, fds[1:])
            except (OSError, KeyError, ValueError) as error:
                messages.send(reply, {"error": f"{type(error).__name__}: {error}"})
            finally:
                for fd in fds[1:]:
                    os.close(fd)
        return True

    def _signal(self, request: Mapping[str, Any]) -> None:
        for pid, name in self._children.items():
            if name == request["id"]:
                os.kill(pid, request["signal"])  # not reaped yet, so the pid is still its own
                return

    def _sandbox(self, request: Mapping[str, Any], reply: socket.socket, _: Sequence[int]) -> None:
        """A pod's network, IPC and host-name namespaces, answered as three descriptors."""

        def make() -> None:
            settings = [(name, value) for name, value in request["settings"]]
            if request["address"]:
                pods.join_new_pod(request["address"], settings)
            ns.unshare(ns.CLONE_NEWIPC | ns.CLONE_NEWUTS)
            socket.sethostname(request["hostname"])
            held = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "ipc", "uts")]
            messages.send(reply, {}, held)

        self._fork(make, reply)

    def _run(self, request: Mapping[str, Any], reply: socket.socket, fds: Sequence[int]) -> None:
        """A container: descriptors are net, ipc, uts, stdin, stdout, stderr."""
        blueprint = Blueprint.from_json(request["blueprint"])
        mounted = roots.submounts(Path("/proc/self/mountinfo").read_text(), blueprint.root)

        def start() -> None:
            os.setsid()
            for fd, kind in zip(fds, (ns.CLONE_NEWNET, ns.CLONE_NEWIPC, ns.CLONE_NEWUTS), strict=False):
                ns.setns(fd, kind)
            os.umask(0o022)
            roots.build(blueprint, mounted)
            os.chdir(blueprint.directory)
            _become(blueprint.argv, blueprint.env, blueprint.identity, fds[3:6], tty=blueprint.tty)

        ns.unshare(ns.CLONE_NEWPID)
        try:
            pid = self._fork(start, reply)
        finally:
            ns.setns(self._own_pids, ns.CLONE_NEWPID)
        self._children[pid] = request["id"]

    def _exec(self, request: Mapping[str, Any], reply: socket.socket, fds: Sequence[int]) -> None:
        """One more process in a container: descriptors are stdin, stdout, stderr."""
        command = Command.from_json(request["command"])
        target = next((pid for pid, name in self._children.items() if name == request["container"]), None)
        if target is None:
            raise ValueError("the container is not running")
        pidfd = os.pidfd_open(target)
        try:

            def start() -> None:
                os.setsid()
                ns.setns(pidfd, ns.CLONE_NEWNET | ns.CLONE_NEWIPC | ns.CLONE_NEWUTS | ns.CLONE_NEWNS)
                os.umask(0o022)
                os.chdir(command.directory)
                _become(command.argv, command.env, command.identity, fds, tty=command.tty)

            ns.setns(pidfd, ns.CLONE_NEWPID)
            try:
                pid = self._fork(start, reply)
            finally:
                ns.setns(self._own_pids, ns.CLONE_NEWPID)
        finally:
            os.close(pidfd)
        self._children[pid] = request["id"]

    def _socket(self, _: Mapping[str, Any], reply: socket.socket, fds: Sequence[int]) -> None:
        """A TCP socket that lives in the network namespace behind the descriptor."""
        ns.setns(fds[0], ns.CLONE_NEWNET)
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            ns.setns(self._own_net, ns.CLONE_NEWNET)
        with made:
            messages.send(reply, {}, [made.fileno()])

    def _fork(self, act: Callable[[], None], reply: socket.socket) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            act()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001  # this process must end here, whatever happened
            with contextlib.suppress(OSError):  # when nobody listens any more
                messages.send(reply, {"error": str(error) or type(error).__name__})
            os._exit(128)

    _operations: ClassVar = {"sandbox": _sandbox, "run": _run, "exec": _exec, "socket": _socket}


def _become(
    argv: Sequence[str], env: Mapping[str, str], identity: Identity, stdio: Sequence[int], *, tty: bool
) -> NoReturn:
    """Turn this process into the program, as the identity; raises OSError when it cannot be started."""
    for target, fd in enumerate(stdio):
        os.dup2(fd, target, inheritable=True)
        if stat.S_ISFIFO(os.fstat(target).st_mode):
            # The program may open /dev/stdout again, which asks who owns the pipe.
            os.fchown(target, identity.uid, -1)
    if tty:
        _take_terminal()
    user = _passwd_entry(identity.uid)
    gid = identity.gid if identity.gid is not None else int(user[3]) if user else 0
    environment = dict(env)
    environment.setdefault("HOME", user[5] if user else "/")
    ns.limit_capabilities(identity.capabilities)
    os.setgroups(sorted({gid, *identity.groups}))
    os.setresgid(gid, gid, gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    if identity.no_new_privileges:
        ns.no_new_privileges()
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606
    except FileNotFoundError as error:
        what = "no such file or directory" if "/" in argv[0] else "executable file not found in $PATH"
        raise FileNotFoundError(f'exec: "{argv[0]}": {what}') from error
    except PermissionError as error:
        raise PermissionError(f'exec: "{argv[0]}": permission denied (uid {identity.uid})') from error


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, array.array("i", [0]))


def _passwd_entry(uid: int) -> list[str] | None:
    try:
        lines = Path("/etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None  # an image without users
    for line in lines:
        fields = line.split(":")
        if len(fields) >= 7 and fields[2] == str(uid):
            return fields
    return None


def start() -> socket.socket:
    """Fork the spawner and give the node's end of its control socket.

    To be called first of all, while this process is small and has one thread.
    """
    ours, theirs = messages.pair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    try:
        ns.die_with_parent(signal.SIGKILL)
        keep = theirs.fileno()
        os.closerange(3, keep)
        os.closerange(keep + 1, 4096)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Spawner(theirs).serve()
    except BaseException as error:  # noqa: BLE001  # a fork must never run its parent's code
        sys.stderr.write(f"spawner: {type(error).__name__}: {error}\n")
        os._exit(1)
    os._exit(0)
