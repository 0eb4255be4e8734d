"""The doctor's trial: tries in namespaces of its own what the node will do, and prints what failed, as JSON.

A program (``python -m``), because the namespaces must end with it. Everything it makes is gone with them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pytest_mesh.clusters.local import namespaces, rootless
from pytest_mesh.clusters.local.network.netlink import Netlink

_NAT = """*nat
:PROBE - [0:0]
-A PREROUTING -j PROBE
-A PROBE -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.244.0.1:6443
-A OUTPUT -p tcp -j REDIRECT --to-ports 15001
-A POSTROUTING -s 10.244.0.1/32 -d 10.244.0.1/32 -j MASQUERADE
COMMIT
"""
_STATISTIC = """*nat
-A PREROUTING -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.244.0.1:6443
COMMIT
"""
_REJECT = """*filter
-A FORWARD -d 10.96.0.0/16 -p tcp -m tcp -j REJECT --reject-with tcp-reset
-A FORWARD -d 10.96.0.0/16 -j REJECT --reject-with icmp-port-unreachable
COMMIT
"""
_OWNER = """*nat
-A OUTPUT -p tcp -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001
-A OUTPUT -p tcp -m owner --gid-owner 1337 -j RETURN
COMMIT
"""


def main() -> None:
    """Print {feature: error or ""}; what depends on a failed step is not tried."""
    results: dict[str, str] = {}

    def tried(name: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except (OSError, subprocess.SubprocessError) as error:
            results[name] = str(error) or type(error).__name__
        else:
            results[name] = ""
        return not results[name]

    if rootless.wanted() and not tried("namespaces", rootless.enter):
        sys.stdout.write(json.dumps(results) + "\n")
        return
    tried("setuid", _change_user)
    if tried("namespaces", _enter):
        tried("overlayfs", _overlay)
        tried("veth", _veth)
        tried("iptables nat", lambda: _rules(_NAT))
        tried("iptables statistic match", lambda: _rules(_STATISTIC))
        tried("iptables REJECT", lambda: _rules(_REJECT))
        tried("iptables owner match", lambda: _rules(_OWNER))
    sys.stdout.write(json.dumps(results) + "\n")


def _change_user() -> None:
    argv = [
        sys.executable,
        "-S",
        "-c",
        "import os; os.setgroups([1337]); os.setresgid(1337,1337,1337); os.setresuid(1337,1337,1337)",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, cwd="/")
    if done.returncode != 0:
        raise OSError((done.stderr.strip().splitlines() or ["it failed"])[-1])


def _enter() -> None:
    kinds = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWUTS | namespaces.CLONE_NEWIPC
    namespaces.unshare(kinds)
    namespaces.mount("none", "/", flags=namespaces.MS_REC | namespaces.MS_PRIVATE)
    child = os.fork()
    if child == 0:
        os._exit(_own_processes())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise OSError(code, f"a PID namespace with its own /proc: {os.strerror(code)}")


def _own_processes() -> int:
    """Make a PID namespace and mount its /proc; gives the error number."""
    try:
        namespaces.unshare(namespaces.CLONE_NEWPID)
        child = os.fork()
        if child == 0:
            try:
                namespaces.unshare(namespaces.CLONE_NEWNS)  # else this /proc would cover the parent's
                namespaces.mount("proc", "/proc", "proc")
            except OSError as error:
                os._exit(error.errno or 1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except OSError as error:
        return error.errno or 1


def _overlay() -> None:
    directory = Path(tempfile.gettempdir())
    namespaces.mount("tmpfs", str(directory), "tmpfs")
    upper, work, root = (directory / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir()
    # In a user namespace nothing that has mounts below it can be a lower layer: there it is one directory at a time.
    options = "lowerdir=/usr,userxattr" if rootless.entered() else "lowerdir=/"
    namespaces.mount("overlay", str(root), "overlay", options=f"{options},upperdir={upper},workdir={work}")
    (root / "probe").write_text("written\n")
    if (upper / "probe").read_text() != "written\n":
        raise OSError("what is written does not reach the private layer")


def _veth() -> None:
    with Netlink() as netlink:
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            netlink.add_veth("probe0", "probe1", own)
        finally:
            os.close(own)
        netlink.set_up("lo")
        netlink.set_up("probe0")
        netlink.add_address("lo", "10.244.0.1")
        netlink.add_route("probe0", "10.244.0.2", source="10.244.0.1")


def _rules(text: str) -> None:
    done = subprocess.run(
        ["iptables-restore", "--noflush", "-w", "5"],
        input=text,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(" ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}")


if __name__ == "__main__":
    main()
