"""The protocols and plain data that pass between the rooms of pytest-mesh.

A room may import this module and nothing of another room's inside. What is
written here is fixed first; a change here is a change of design. Nothing here
does I/O, and nothing here imports a third-party package.

Wire forms (``to_json``/``from_json``) are the ones that the workloads speak on
their control port; they are versioned by ``WIRE_VERSION``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

WIRE_VERSION = 1

CONTROL_PORT = 18080
"""TCP port on which a workload takes Batches; kept out of interception by the
annotation that the implementation's file names, so that STRICT mTLS never
cuts the harness off."""

WORKLOAD_IMAGE = "pytest-mesh/workload"
"""Image of the echo server and client; every backend knows how to run it."""

REVISION_LABEL = "istio.io/rev"
"""Label of namespaces, Pods and objects that belong to one revision of a control plane."""

Json = dict[str, Any]
"""A Kubernetes object, or any other JSON object."""

Progress = Callable[[str], None]
"""Takes one line for a person who waits ("cluster: API ready in 0.6 s")."""


# ---------------------------------------------------------------- clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One row of the *image table*: how a backend without a registry runs an image name.

    ``root`` is the directory that becomes the container's root file system
    (``/`` = the host's own, under a private writable layer). ``entrypoint`` and
    ``env`` are what an image's configuration would give. ``readable`` lists
    paths under ``root`` that any uid must be able to reach (a virtual
    environment below a private home directory); the host's modes stay as they are.
    ``user`` is ``UID`` or ``UID:GID``, in numbers; a Pod's securityContext goes before it. Default: root.
    """

    root: str = "/"
    entrypoint: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    user: str = ""

    def to_json(self) -> Json:
        """Give the form stored in the cluster's image table."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Image:
        """Read what :meth:`to_json` wrote; unknown keys are an error (TypeError)."""
        known = dict(data)
        return cls(
            root=known.pop("root", "/"),
            entrypoint=tuple(known.pop("entrypoint", ())),
            env=dict(known.pop("env", {})),
            readable=tuple(known.pop("readable", ())),
            user=known.pop("user", ""),
            **known,
        )


@runtime_checkable
class Cluster(Protocol):
    """A running Kubernetes cluster, however it came to be."""

    @property
    def backend(self) -> str:
        """``local``, ``kind`` or ``existing``."""

    @property
    def name(self) -> str: ...

    @property
    def kubeconfig(self) -> Path: ...

    def add_images(self, images: Mapping[str, Image], progress: Progress) -> None:
        """Make image names runnable: by the image table, or by building and loading them."""

    def handle(self) -> Json:
        """Give what another process needs to attach to this cluster."""

    def collect(self, directory: Path) -> None:
        """Write the backend's own logs below ``directory``; never raises."""

    def down(self) -> None:
        """Remove the cluster and all that it left on the machine. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What going back to a snapshot took."""

    made: int
    """Objects that were gone, or were others under the same names."""
    changed: int
    removed: int
    """Objects that were not there then; those that were replaced among them."""
    forced: tuple[str, ...]
    """Objects that were taken out although a finalizer held them still: ``resource namespace/name``."""
    seconds: float


@runtime_checkable
class KeepsSnapshots(Protocol):
    """A cluster whose API's state can be kept and had again."""

    def snapshot(self) -> str:
        """Keep what the API holds; give the snapshot's id."""

    def restore(self, snapshot: str, *, seconds: float = 10.0) -> Restored:
        """Go back to a snapshot; ``seconds`` is the time for finalizers."""

    def forget(self, snapshot: str) -> None:
        """Drop a snapshot. Idempotent."""


@runtime_checkable
class HoldsImages(Protocol):
    """A cluster whose nodes hold images under names that stay the same while their content changes."""

    def image_ids(self) -> Mapping[str, str]:
        """Give the images that were added, by name, with what tells their content."""


@runtime_checkable
class PullsImages(Protocol):
    """A cluster whose nodes pull the harness's images from a registry."""

    @property
    def image_pull_secret(self) -> str:
        """Name of the Secret by which pods pull them, in every namespace of the run; empty = none is needed."""

    def image(self, name: str) -> str:
        """Give the name by which the nodes know an image."""

    def renamed(self, documents: Sequence[Json], images: Iterable[str]) -> list[Json]:
        """Give documents with these images' names replaced by those of the registry."""


# ---------------------------------------------------------- implementations


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """Which mesh is judged: the content of an implementation's file (TOML, format 1).

    ``manifests_command`` is an argv whose standard output is applied, ``manifests``
    are paths of files, ``install`` and ``remove`` are argv lists run with KUBECONFIG
    set. All of it is trusted code. ``{python}`` stands for the interpreter that
    runs pytest, ``{bin}`` for the directory of its programs, ``{dir}`` for the file's own directory,
    ``{envoy}`` for the installed Envoy, ``{env:NAME}`` for an environment variable that the file's
    ``[environment]`` describes.
    """

    name: str
    organization: str = ""
    project: str = ""
    url: str = ""
    version: str = ""
    contact: tuple[str, ...] = ()
    already_there: bool = False
    """Whether the mesh is on the cluster before a run begins: nothing is installed, nothing removed."""
    manifests_command: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    install: tuple[tuple[str, ...], ...] = ()
    remove: tuple[tuple[str, ...], ...] = ()
    ready: tuple[str, ...] = ()
    """Deployments to wait for, ``namespace/name``."""
    namespace: str = ""
    """Namespace of the control plane; empty = none is known."""
    images: Mapping[str, Image] = field(default_factory=dict)
    injection_labels: Mapping[str, str] = field(default_factory=dict)
    """Namespace labels that turn injection on (the revision's among them); empty = the mesh injects nothing."""
    revision: str = ""
    """Name of the control plane's revision; empty = there is one control plane."""
    pod_opt_out_labels: Mapping[str, str] = field(default_factory=dict)
    exclude_inbound_annotation: str = ""
    """Pod annotation that keeps CONTROL_PORT out of interception."""
    pod_annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of every pod that the harness itself makes: what a proxy beside an echo server asks for, say."""
    proxy_metadata_annotation: str = ""
    """Pod annotation that carries the proxy's settings (YAML ``proxyMetadata``)."""
    svid_ttl_key: str = ""
    """Key below ``proxyMetadata`` that sets the SVID's time to live."""
    trust_domain: str = "cluster.local"
    root_config_map: tuple[str, str] = ("", "")
    """ConfigMap name and key, in every namespace, that hold the trust bundle."""
    root_secret: tuple[str, str, str] = ("", "", "")
    """Namespace, Secret name and key of the self-signed root."""
    sds_socket: str = ""
    """Path of the agent's SDS socket in the proxy's container."""
    client_certificate_port: int = 0
    """Port of the certificate service where a caller may prove itself by its certificate (0 = nowhere)."""
    proxy_container: str = ""
    init_container: str = ""
    inbound_port: int = 0
    outbound_port: int = 0
    admin_port: int = 0
    """Envoy's admin port inside the pod (0 = there is none)."""
    kube_inject_command: tuple[str, ...] = ()
    """argv that takes ``-f FILE`` and prints the injected document."""
    config_dump_command: tuple[str, ...] = ()
    """argv that prints the configuration of the proxy of pod ``{pod}`` in ``{namespace}``; for a failure's evidence."""
    features: tuple[str, ...] | Literal["all", "inferred"] = "inferred"
    """Features that the mesh claims; inferred = none, and every check runs."""
    convergence_seconds: float = 30.0
    source: str = ""
    """The file, as messages name it."""
    lines: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    """Line of each key that the file gives, by its dotted path."""

    def where(self, key: str) -> str:
        """Name a key of the file (``identity.trust_domain``) and where it stands, for messages."""
        line = self.line_of(key)
        place = f"{self.source}:{line}" if line else self.source
        return f"{key} ({place})" if place else key

    def line_of(self, key: str) -> int:
        """Give the line of a key, or of the nearest one around it that the file has (``a.b[0]``, ``a.b``, ``a``); else 0."""
        while key and key not in self.lines:
            key = key.rpartition("[")[0] if key.endswith("]") else key.rpartition(".")[0]
        return self.lines.get(key, 0)

    def judges(self, feature: str) -> bool:
        """Whether a feature's checks are to run."""
        return isinstance(self.features, str) or feature in self.features

    def claims(self, feature: str) -> bool:
        """Whether the file declares a feature."""
        return self.features == "all" or (self.features != "inferred" and feature in self.features)


# ------------------------------------------------------------------ traffic

Failure = Literal["", "dns", "refused", "reset", "timeout", "tls", "protocol"]
"""Why a request got no answer; empty when it got one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that a workload sends from inside its pod."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    timeout: float = 10.0
    """Seconds for the whole exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one control call asks of a workload.

    Each request is sent ``count`` times. ``connections`` requests are in flight
    at once; with ``reuse`` a connection carries many requests, without it each
    request opens its own. ``barrier`` opens all connections first and then
    releases all requests at one instant (an overflow test needs that).
    ``record`` chooses the answer: every Observation, or counts by ``key``.
    """

    requests: tuple[Request, ...]
    count: int = 1
    connections: int = 8
    reuse: bool = True
    barrier: bool = False
    record: Literal["each", "counts"] = "each"
    key: Literal["version", "pod", "status"] = "version"

    def to_json(self) -> Json:
        """Give the body of the POST to ``/v1/batch``."""
        return {"wire": WIRE_VERSION, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """What the answering workload says of itself and of the request that reached it."""

    version: str = ""
    pod: str = ""
    namespace: str = ""
    service_account: str = ""
    address: str = ""
    port: int = 0
    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What came back for one request. ``status`` is 0 when nothing did (see ``failure``)."""

    request: int
    """Index into the Batch's requests."""
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    echo: Echo | None = None
    """None when the answer did not come from a workload (a proxy's own 404, for one)."""
    failure: Failure = ""
    detail: str = ""
    connection: int = 0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, data: Json) -> Observation:
        """Read one element of the answer's ``observations``."""
        echo = data.get("echo")
        return cls(
            **{
                **data,
                "headers": _pairs(data.get("headers", ())),
                "echo": Echo(**{**echo, "headers": _pairs(echo.get("headers", ()))}) if echo else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Aggregated answer of a Batch.

    ``runs`` holds, per connection and in order of completion, the run lengths
    ``(key, length)``: what the unit-of-sampling check needs.
    """

    counts: Mapping[str, int]
    runs: tuple[tuple[tuple[str, int], ...], ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def from_json(cls, data: Json) -> Counts:
        """Read the answer to a Batch that asked for counts."""
        return cls(
            counts=dict(data["counts"]),
            runs=tuple(tuple((str(k), int(n)) for k, n in run) for run in data.get("runs", ())),
            failures=dict(data.get("failures", {})),
            seconds=float(data.get("seconds", 0.0)),
        )


# ----------------------------------------------------------------- verdicts

Outcome = Literal["passed", "failed", "inconclusive", "infrastructure", "skipped", "not-applicable", "waived"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one check leaves behind for the report; ``facts`` holds only JSON."""

    check: str
    feature: str
    outcome: Outcome
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    bundle: str = ""


def _pairs(items: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in items)
