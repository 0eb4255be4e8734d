"""Which resources are served, built-in and custom, and how a path finds one.

It holds no objects (``store`` does) and does not decide what a CRD may say (``crds`` does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.errors import qualified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_mesh.contracts import Json

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceInfo:
    """One resource in one served version.

    ``schema`` is the OpenAPI schema of the object (a structural one when ``custom``),
    ``key`` the name under which all versions of it share the store: ``pods``,
    ``deployments.apps``. ``subresources`` holds names such as ``status``.
    ``columns`` are a CRD version's additionalPrinterColumns, ``scale`` its
    ``subresources.scale``.
    """

    group: str
    version: str
    plural: str
    kind: str
    list_kind: str = ""
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: frozenset[str] = frozenset()
    custom: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    columns: tuple[Json, ...] = field(default=(), compare=False, repr=False)
    scale: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    selectable_fields: tuple[str, ...] = ()
    stored: bool = True
    """Whether this is the version in which a custom resource is kept."""
    stored_as: str = ""
    """Store key when it is not ``plural.group`` (events.k8s.io shares the core group's events)."""
    key: str = field(init=False, compare=False, repr=False)
    api_version: str = field(init=False, compare=False, repr=False)
    has_status: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Work out what every request asks for."""
        object.__setattr__(self, "key", self.stored_as or qualified(self.plural, self.group))
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        object.__setattr__(self, "has_status", "status" in self.subresources)


class Registry:
    """The served resources; changed by CRDs only."""

    def __init__(self, builtins: Iterable[ResourceInfo]) -> None:
        self._by_path: dict[tuple[str, str, str], ResourceInfo] = {}
        self._builtin_groups: dict[str, None] = {}
        self.generation = 0
        """Grows with every change, so that discovery and OpenAPI may be cached."""
        for info in builtins:
            self._by_path[info.group, info.version, info.plural] = info
            self._builtin_groups[info.group] = None

    def find(self, group: str, version: str, plural: str) -> ResourceInfo | None:
        return self._by_path.get((group, version, plural))

    def all(self) -> Iterator[ResourceInfo]:
        """Give every resource of every version, built-ins first, a CRD's versions in its order of priority."""
        return iter(tuple(self._by_path.values()))

    def is_builtin_group(self, group: str) -> bool:
        return group in self._builtin_groups

    def versions_of(self, key: str) -> list[ResourceInfo]:
        """Give every served version of the resource stored under ``key``."""
        return [info for info in self.all() if info.key == key]

    def replace_custom(self, plural: str, group: str, infos: Iterable[ResourceInfo]) -> None:
        """Serve exactly ``infos`` as the versions of the custom resource ``plural.group``; none = serve it no more."""
        for path in [p for p, info in self._by_path.items() if info.custom and (p[0], p[2]) == (group, plural)]:
            del self._by_path[path]
        for info in infos:
            self._by_path[info.group, info.version, info.plural] = info
        self.generation += 1
