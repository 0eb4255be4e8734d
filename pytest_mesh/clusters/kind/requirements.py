"""What ``--mesh-cluster=kind`` needs of the machine: Docker that answers, kind, and a cgroup that the node image takes.

``lack`` is pure; ``require`` looks at the machine. Nothing is installed here.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import Final

from pytest_mesh.clusters.kind.programs import KindError, output

_LAST_MINOR_WITH_CGROUP_1: Final = 34
"""From Kubernetes 1.35 on the kubelet refuses cgroup v1 unless told otherwise (KEP-5573)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was found. ``cgroup`` is "1", "2" or empty where Docker did not say."""

    docker: bool
    kind: bool
    daemon: str = ""
    """Why the daemon does not answer; empty when it does."""
    cgroup: str = ""


def lack(facts: Facts, image: str) -> str:
    """Give in one line the first thing that is missing and what to do; empty when nothing is.

    ``image`` is the node image that was asked for; empty = kind's own.
    """
    if not facts.docker:
        return "docker is not on PATH: install Docker (https://docs.docker.com/engine/install/)"
    if facts.daemon:
        return (
            f"the Docker daemon does not answer ({facts.daemon}): start it (systemctl start docker), "
            "or name it by DOCKER_HOST"
        )
    if not facts.kind:
        return "kind is not on PATH: install it (https://kind.sigs.k8s.io/docs/user/quick-start/#installation)"
    minor = minor_of(image)
    if facts.cgroup == "1" and (not image or (minor is not None and minor > _LAST_MINOR_WITH_CGROUP_1)):
        named = f"node image {image}" if image else "kind's own node image"
        return (
            f"this machine has cgroup v1, which {named} refuses: boot it with cgroup v2 "
            "(systemd.unified_cgroup_hierarchy=1), or name an image up to v1.34 by --mesh-kind-image"
        )
    return ""


def minor_of(image: str) -> int | None:
    """Give the Kubernetes minor version of a node image's tag; None where the tag does not tell."""
    found = re.search(r":v1\.(\d+)\.", image)
    return int(found[1]) if found else None


def probe() -> Facts:
    """Look at the machine."""
    docker = shutil.which("docker") is not None
    daemon, cgroup = "", ""
    if docker:
        try:
            cgroup = output("docker", "info", "--format", "{{.CgroupVersion}}", seconds=20).strip()
        except KindError as error:
            daemon = str(error).rpartition(": ")[2][:200]
    return Facts(docker=docker, kind=shutil.which("kind") is not None, daemon=daemon, cgroup=cgroup)


def require(image: str) -> None:
    """Raise KindError where something is missing."""
    if missing := lack(probe(), image):
        raise KindError(missing)
