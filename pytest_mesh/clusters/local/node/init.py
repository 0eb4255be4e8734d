"""The process that holds a cluster: an outer half in the host's namespaces, and PID 1 of the node's own.

The outer half watches the lifeline and removes the run directory; the inner
half brings the node's network up, starts the API server and the node, and
reaps. When the inner half ends, the kernel ends everything in its namespaces,
and their interfaces, rules and mounts with it. Neither half knows Kubernetes.

``python -m pytest_mesh.clusters.local.node.init --run-dir DIR --name NAME --listen-fd N --ready-fd N
[--lifeline-pidfd N] [--assets DIR]``; with ``--assets`` a real kube-apiserver takes the embedded one's place.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.local import namespaces as ns
from pytest_mesh.clusters.local import rootless, state
from pytest_mesh.clusters.local.network import pods
from pytest_mesh.liveness import start_time

API_PORT: Final = 6443
NODE_TMPFS: Final = "node"
"""Below the run directory: containers' layers and volumes. Memory, and visible in the node's mount namespace only."""
_LOG_TAIL: Final = 3000


def main() -> None:
    """Run the outer half; returns when the cluster and its run directory are gone."""
    parser = argparse.ArgumentParser(prog="node.init")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--lifeline-pidfd", type=int)
    parser.add_argument("--assets", type=Path)
    arguments = parser.parse_args()
    directory: Path = arguments.run_dir
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, state.SHUT_DOWN):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(waker)
    with socket.socket(fileno=os.dup(arguments.listen_fd)) as listener:
        port = listener.getsockname()[1]
    if rootless.wanted():
        rootless.enter()
    started = start_time(os.getpid())
    if started is None:
        raise RuntimeError("/proc is not mounted: a cluster needs it")
    state.write(directory, state.State(name=arguments.name, pid=os.getpid(), started=started, port=port))
    ns.unshare(ns.CLONE_NEWPID)
    inner = os.fork()
    if inner == 0:
        signal.set_wakeup_fd(-1)
        _run_inner(directory, arguments.listen_fd, arguments.ready_fd, arguments.assets)
    os.close(arguments.listen_fd)
    asked = _wait(inner, wake, arguments.lifeline_pidfd)
    if not asked:
        # It failed by itself. Whoever waits for readiness gets the reason; one who comes later finds the logs.
        reason = _reason(directory)
        (directory / "failed").write_text(reason)
        with contextlib.suppress(OSError):
            os.write(arguments.ready_fd, reason.encode())
        os.close(arguments.ready_fd)
        if arguments.lifeline_pidfd is None:
            return
        _wait(None, wake, arguments.lifeline_pidfd)
    state.remove(directory)


def _wait(inner: int | None, wake: int, lifeline: int | None) -> bool:
    """Wait for a signal or the lifeline's end (True), or for the inner half's own end (False); it is gone then."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    if lifeline is not None:
        poll.register(lifeline, select.POLLIN)
    pidfd = None if inner is None else os.pidfd_open(inner)
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    leaving = False
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if inner is None or ready != {wake} or leaving or set(os.read(wake, 64)) != {state.SHUT_DOWN}:
            break
        leaving = True
        os.kill(inner, signal.SIGTERM)
    if inner is not None and pidfd is not None:
        os.kill(inner, signal.SIGKILL)
        os.waitpid(inner, 0)  # returns when every process of the namespace is gone
        os.close(pidfd)
    return leaving or ready != {pidfd}


def _reason(directory: Path) -> str:
    texts = []
    for name in ("init", "apiserver", "kube_apiserver", "etcd", "kube-apiserver", "node"):
        with contextlib.suppress(OSError):
            text = (directory / "logs" / f"{name}.log").read_text(errors="replace")[-_LOG_TAIL:].strip()
            if text:
                texts.append(f"{name}.log:\n{text}")
    return "\n".join(texts) or "the node ended without a word"


def _run_inner(directory: Path, listen_fd: int, ready_fd: int, assets: Path | None) -> None:
    code = 1
    try:
        ns.die_with_parent(signal.SIGKILL)
        ns.unshare(ns.CLONE_NEWNET | ns.CLONE_NEWNS | ns.CLONE_NEWUTS | ns.CLONE_NEWIPC)
        # Slave, not private: the host can still unmount what it likes, and nothing goes the other way.
        ns.mount("none", "/", flags=ns.MS_REC | ns.MS_SLAVE)
        ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
        tmpfs = directory / NODE_TMPFS
        tmpfs.mkdir(mode=0o700)
        ns.mount("tmpfs", str(tmpfs), "tmpfs", ns.MS_NOSUID, "mode=700")
        socket.sethostname("mesh-node")
        pods.set_up_node()
        code = _supervise(directory, listen_fd, ready_fd, assets)
    except BaseException as error:  # noqa: BLE001  # PID 1 must end, not return into the outer half's code
        sys.stderr.write(f"init: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
    os._exit(code)


def _supervise(directory: Path, listen_fd: int, ready_fd: int, assets: Path | None) -> int:
    """Start the two processes and reap until one of them ends."""
    api_ready, api_says = os.pipe2(os.O_CLOEXEC)
    node_waits, go = os.pipe2(os.O_CLOEXEC)
    common = ["--run-dir", str(directory)]
    api = [*common, "--listen-fd", str(listen_fd), "--node-address", pods.NODE_ADDRESS, "--port", str(API_PORT)]
    program = "apiserver"
    if assets is not None:
        program = "kube_apiserver"
        api += ["--assets", str(assets)]
    children = {
        _spawn(directory, program, [*api, "--ready-fd", str(api_says)], (listen_fd, api_says)): program,
        _spawn(directory, "node", [*common, "--go-fd", str(node_waits)], (node_waits,)): "node",
    }
    for fd in (listen_fd, api_says, node_waits):
        os.close(fd)
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    os.write(waker, b"\0")  # a child may have died before the handler was there
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(api_ready, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == api_ready:
                poll.unregister(api_ready)
                if os.read(api_ready, 64).startswith(b"ready"):
                    os.write(ready_fd, b"ready\n")  # its reader gone = nobody wants the cluster: EPIPE ends it
                    os.write(go, b"go\n")
                    os.close(ready_fd)
                continue
            with contextlib.suppress(BlockingIOError):
                if signal.SIGTERM in os.read(wake, 4096):
                    for pid, name in children.items():
                        if name == "node":
                            os.kill(pid, signal.SIGTERM)
            while (ended := _reap()) is not None:
                if ended[0] in children:
                    stamp = time.strftime("%H:%M:%S")
                    name, code = children[ended[0]], os.waitstatus_to_exitcode(ended[1])
                    sys.stderr.write(f"{stamp} init: {name} ended with code {code}; the cluster ends\n")
                    sys.stderr.flush()
                    return 1


def _reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _spawn(directory: Path, name: str, arguments: list[str], fds: tuple[int, ...]) -> int:
    with (directory / "logs" / f"{name}.log").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", f"pytest_mesh.clusters.local.{name}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=fds,
            start_new_session=True,
            cwd="/",
        ).pid


if __name__ == "__main__":
    main()
