"""The rules of roles and of their bindings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.rules.faults import named, required, unsupported, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

GROUP = "rbac.authorization.k8s.io"
_KINDS = ("ServiceAccount", "User", "Group")


def role(obj: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a Role."""
    yield from _rules(obj, namespaced=True)


def cluster_role(obj: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a ClusterRole."""
    yield from _rules(obj, namespaced=False)


def _rules(obj: Json, *, namespaced: bool) -> Iterator[Cause]:
    for index, rule in enumerate(obj.get("rules") or ()):
        at, paths = f"rules[{index}]", rule.get("nonResourceURLs")
        if not rule.get("verbs"):
            yield required(f"{at}.verbs", "verbs must contain at least one value")
        if paths:
            if namespaced:
                yield wrong(f"{at}.nonResourceURLs", paths, "namespaced rules cannot apply to non-resource URLs")
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                yield wrong(
                    f"{at}.nonResourceURLs", paths, "rules cannot apply to both regular resources and non-resource URLs"
                )
            continue
        if not rule.get("apiGroups"):
            yield required(f"{at}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            yield required(f"{at}.resources", "resource rules must supply at least one resource")


def role_binding(binding: Json, old: Json | None) -> Iterator[Cause]:
    """Check a RoleBinding."""
    yield from _binding(binding, old, ("Role", "ClusterRole"))


def cluster_role_binding(binding: Json, old: Json | None) -> Iterator[Cause]:
    """Check a ClusterRoleBinding."""
    yield from _binding(binding, old, ("ClusterRole",))


def _binding(binding: Json, old: Json | None, kinds: tuple[str, ...]) -> Iterator[Cause]:
    reference = binding.get("roleRef") or {}
    group, kind, name = (reference.get(key, "") for key in ("apiGroup", "kind", "name"))
    if group != GROUP:
        yield unsupported("roleRef.apiGroup", group, (GROUP,))
    if kind not in kinds:
        yield unsupported("roleRef.kind", kind, kinds, ordered=False)
    if not name:
        yield required("roleRef.name")
    else:
        yield from named("roleRef.name", name, "path")
    for index, subject in enumerate(binding.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{index}]", namespaced="Role" in kinds)
    if old is not None and reference != old.get("roleRef"):
        shown = {"APIGroup": group, "Kind": kind, "Name": name}
        yield wrong("roleRef", shown, "cannot change roleRef")


def _subject(subject: Json, at: str, *, namespaced: bool) -> Iterator[Cause]:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{at}.name")
    if kind == "ServiceAccount":
        if name:
            yield from named(f"{at}.name", name, "subdomain")
        if group:
            yield unsupported(f"{at}.apiGroup", group, ("",))
        if not subject.get("namespace") and not namespaced:
            yield required(f"{at}.namespace")
    elif kind in _KINDS:
        if group != GROUP:
            yield unsupported(f"{at}.apiGroup", group, (GROUP,))
    else:
        yield unsupported(f"{at}.kind", kind, _KINDS, ordered=False)
