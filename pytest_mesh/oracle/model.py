"""What the documents say, as plain data: services and who is behind them, subsets, routes. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_mesh.oracle.fields import Line

MESH = "mesh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pods with the same labels: a Deployment's, or one Pod. A pod's name begins with the workload's."""

    name: str
    namespace: str
    labels: Mapping[str, str]

    @property
    def version(self) -> str:
        return self.labels.get("version", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A Service's port."""

    number: int
    protocol: Literal["http", "tls", "tcp", "detected"]
    """As its name or appProtocol declares it (§1.6); detected = at run time."""

    @property
    def http(self) -> bool:
        return self.protocol == "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Kubernetes Service, or one host of a ServiceEntry."""

    name: str
    namespace: str
    host: str
    """``reviews.shop.svc.cluster.local``; of a ServiceEntry it may be a wildcard."""
    ports: tuple[Port, ...]
    selector: Mapping[str, str]
    reached: Literal["pods", "dialled", "outside"] = "pods"
    """Where its requests go: to the selector's pods, to the address that the client dials (headless, S1 NONE), or to
    endpoints of which nothing is known (S1 STATIC, DNS)."""
    entry: bool = False
    """Whether it is a ServiceEntry's: it has no other name than its host."""
    headless: bool = False
    endpoint_labels: tuple[Mapping[str, str], ...] = ()
    """Of endpoints outside."""
    export_to: frozenset[str] = frozenset()
    created: str = ""
    line: Line

    def port(self, number: int) -> Port | None:
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """A named part of a host's pods (D1)."""

    name: str
    labels: Mapping[str, str]
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    """Subsets of a host; of its policies only that they exist (``assumptions``)."""

    name: str
    namespace: str
    host: str
    subsets: tuple[Subset, ...]
    export_to: frozenset[str]
    created: str
    assumptions: tuple[str, ...] = ()


Kind = Literal["exact", "prefix", "regex", "present"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StringMatch:
    """exact, prefix (of the raw string), regex (of the whole string) or present (any value)."""

    kind: Kind
    value: str = ""

    def __str__(self) -> str:
        return "present" if self.kind == "present" else f"{self.kind} {self.value!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of a match block. ``where`` is what of the request it looks at."""

    where: Literal["uri", "scheme", "method", "authority", "header", "without-header", "query"]
    name: str = ""
    match: StringMatch
    ignore_case: bool = False
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One ``match`` entry: its conditions are ANDed. The rest filters by client and port, not by request."""

    conditions: tuple[Condition, ...] = ()
    name: str = ""
    port: int = 0
    gateways: tuple[str, ...] = ()
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChanges:
    """set, add and remove of one direction (R17)."""

    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """Header changes of a route or of one destination."""

    request: HeaderChanges = HeaderChanges()
    response: HeaderChanges = HeaderChanges()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where requests, or copies of them, go. ``host`` is resolved."""

    host: str
    subset: str = ""
    port: int = 0
    """0 = not given (B14)."""
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One entry of ``route``."""

    destination: Destination
    weight: int = 0
    headers: Headers = Headers()
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """R4, R5."""

    uri: str = ""
    prefix_rewrite: str = ""
    authority: str = ""
    scheme: str = ""
    port: int = 0
    from_request_port: bool = False
    code: int = 0
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    """R6."""

    status: int
    body: str = ""
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """R1-R3. ``regex`` is pattern and substitution."""

    uri: str = ""
    authority: str = ""
    regex: tuple[str, str] | None = None
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """R7; ``per_million`` of the requests are copied."""

    destination: Destination
    per_million: int = 1_000_000
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """R8, R9. A part that is not given has 0 per million."""

    delay: float = 0.0
    delay_per_million: int = 0
    abort_status: int = 0
    abort_grpc: int | None = None
    """Code of a gRPC status; HTTP requests get 200 from the proxy."""
    abort_per_million: int = 0
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """R18. The lists are joined by commas in headers."""

    origins: tuple[StringMatch, ...]
    methods: str = ""
    headers: str = ""
    expose: str = ""
    max_age: str = ""
    """Seconds; empty = none is told."""
    credentials: bool = False
    ignore_unmatched: bool = False
    """Whether the proxy answers preflights of other origins too, without allowing them anything."""
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of ``http``: any of its blocks matches (none = every request, M16), then its action."""

    name: str = ""
    blocks: tuple[Block, ...] = ()
    branches: tuple[Branch, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    fault: Fault | None = None
    mirrors: tuple[Mirror, ...] = ()
    headers: Headers = Headers()
    timeout: float | None = None
    cors: Cors | None = None
    retries: bool = False
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBlock:
    """One ``match`` entry of a tcp or tls route: what is given of it is ANDed (T2). ``names`` are of tls only (T1)."""

    names: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    static: Block
    """Port, gateways and whose clients it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRule:
    """One entry of ``tcp`` or ``tls``: weights count by connection (T5)."""

    blocks: tuple[ConnectionBlock, ...] = ()
    branches: tuple[Branch, ...]
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    """A VirtualService's routes. ``hosts`` are resolved and in lower case (B2, B3)."""

    name: str
    namespace: str
    hosts: tuple[str, ...]
    gateways: tuple[str, ...]
    rules: tuple[Rule, ...]
    tcp: tuple[ConnectionRule, ...] = ()
    tls: tuple[ConnectionRule, ...] = ()
    export_to: frozenset[str]
    created: str
    line: Line

    def visible_in(self, namespace: str) -> bool:
        """B12."""
        return exported(self.export_to, self.namespace, namespace)


def exported(export_to: frozenset[str], own: str, namespace: str) -> bool:
    """Whether an object of namespace ``own`` with this exportTo counts for clients in ``namespace`` (B12)."""
    if not export_to or "*" in export_to:
        return True
    return namespace in export_to or ("." in export_to and own == namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What some clients know of the mesh (S5, S6, S8)."""

    name: str
    namespace: str
    selector: Mapping[str, str]
    """Labels of the pods it is for; empty = all of its namespace."""
    hosts: tuple[tuple[str, str], ...] = ()
    """Namespace (``*``, ``.``, a name) and host pattern of what is known; empty = the Sidecar says nothing of it."""
    registry_only: bool | None = None
    """None = as the mesh has it."""
    created: str
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that the documents say."""

    services: tuple[Service, ...] = ()
    """Of these the client's proxy knows."""
    named: tuple[Service, ...] = ()
    """Of these names can be looked up, whatever the proxy knows; empty = the same."""
    workloads: tuple[Workload, ...] = ()
    virtual_services: tuple[VirtualService, ...] = ()
    """Oldest first, then by name and namespace (B5)."""
    destination_rules: tuple[DestinationRule, ...] = ()
    sidecars: tuple[Sidecar, ...] = ()
    """Oldest first."""
    domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    registry_only: bool = False
    """outboundTrafficPolicy: REGISTRY_ONLY instead of ALLOW_ANY."""
    assumptions: tuple[str, ...] = ()
    """What must hold besides for any prediction to stand."""

    def service(self, host: str) -> Service | None:
        return next((one for one in self.services if one.host == host), None)

    def behind(self, service: Service, labels: Mapping[str, str]) -> tuple[Workload, ...]:
        """Give the workloads of a Service that carry these labels too."""
        wanted = {**service.selector, **labels}
        if not service.selector or any(service.selector.get(key, value) != value for key, value in labels.items()):
            return ()
        return tuple(
            one
            for one in self.workloads
            if one.namespace == service.namespace and all(one.labels.get(key) == value for key, value in wanted.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The client: a pod inside the mesh."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
