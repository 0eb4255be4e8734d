"""RBAC: what a user may do by the stored roles and bindings, and in what words a refusal says so.

It reads the store and decides; who the user is, is ``authentication``'s. An aggregated ClusterRole has the rules of the
roles that it selects, as if a controller had written them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
ROLES, BINDINGS = f"roles.{GROUP}", f"rolebindings.{GROUP}"
CLUSTER_ROLES, CLUSTER_BINDINGS = f"clusterroles.{GROUP}", f"clusterrolebindings.{GROUP}"

_JUDGED_BY = (ROLES, BINDINGS, CLUSTER_ROLES, CLUSTER_BINDINGS)

REMEMBERED = 1024
"""Users, each in a namespace, whose rules are kept until a role or a binding changes."""

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to do: a verb on a resource, or on a ``path`` that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole(self) -> str:
        """Give the resource as rules name it: ``pods/exec``."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def wish_of(method: str, path: str, query: Mapping[str, str]) -> Wish:
    """Read what a request wants to do, whether or not there is such a resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, rest = parts[1], parts[3:]
    else:
        return Wish(verb=method.lower(), path=path or "/")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    verb = _VERBS.get(method, method.lower())
    if not name and verb == "delete":
        verb = "deletecollection"
    if verb == "get" and query.get("watch", "").lower() in ("true", "1", "t"):
        verb = "watch"
    elif verb == "get" and not name:
        verb = "list"
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _named(query.get("fieldSelector", ""))
    return Wish(
        verb=verb,
        group=group,
        resource=rest[0],
        subresource=rest[2] if len(rest) > 2 else "",
        namespace=namespace,
        name=name,
    )


def _named(selector: str) -> str:
    for term in selector.split(","):
        field, equals, value = term.partition("=")
        if field == "metadata.name" and equals:
            return value.removeprefix("=")
    return ""


@dataclass(frozen=True, slots=True)
class Granted:
    """A rule that a user has, and the words for how."""

    rule: Json
    why: str


class Authorizer:
    """Decides by the roles and bindings of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._granted: dict[tuple[str, tuple[str, ...], str], list[Granted]] = {}
        self._versions: tuple[int, ...] = ()

    def check(self, user: UserInfo, wish: Wish) -> None:
        """Raise StatusError 403 unless the user may."""
        if MASTERS not in user.groups and self.allows(user, wish) is None:
            raise refusal(user, wish)

    def allows(self, user: UserInfo, wish: Wish) -> str | None:
        """Give why the user may ("" for the reason that none need be given), None if not."""
        if MASTERS in user.groups:
            return ""
        return next((granted.why for granted in self.granted(user, wish.namespace) if covers(granted.rule, wish)), None)

    def granted(self, user: UserInfo, namespace: str) -> Sequence[Granted]:
        """Give every rule that the user has in a namespace, "" = in the whole cluster."""
        versions = tuple(self._store.changed(key) for key in _JUDGED_BY)
        if versions != self._versions or len(self._granted) >= REMEMBERED:
            self._granted.clear()
            self._versions = versions
        key = (user.username, user.groups, namespace)
        found = self._granted.get(key)
        if found is None:
            found = self._granted[key] = list(self._found(user, namespace))
        return found

    def _found(self, user: UserInfo, namespace: str) -> Iterator[Granted]:
        for binding in self._store.list(CLUSTER_BINDINGS):
            yield from self._by(binding, user, "")
        if namespace:
            for binding in self._store.list(BINDINGS, namespace):
                yield from self._by(binding, user, namespace)

    def _by(self, binding: Json, user: UserInfo, namespace: str) -> Iterator[Granted]:
        subject = next((one for one in binding.get("subjects") or () if _is(one, user, namespace)), None)
        if subject is None:
            return
        reference, name = binding["roleRef"], binding["metadata"]["name"]
        place = f"{name}/{namespace}" if namespace else name
        who = subject["name"] + (f"/{subject.get('namespace', '')}" if subject["kind"] == "ServiceAccount" else "")
        why = f'RBAC: allowed by {"RoleBinding" if namespace else "ClusterRoleBinding"} "{place}" of '
        why += f'{reference["kind"]} "{reference["name"]}" to {subject["kind"]} "{who}"'
        for rule in self.rules(reference["kind"], reference["name"], namespace):
            yield Granted(rule, why)

    def rules(self, kind: str, name: str, namespace: str) -> list[Json]:
        """Give the rules of a role; none if there is no such role."""
        place = (ROLES, namespace) if kind == "Role" else (CLUSTER_ROLES, "")
        role = self._store.get(*place, name)
        if role is None:
            return []
        rules: list[Json] = list(role.get("rules") or ())
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            wanted = (selector.get("matchLabels") or {}).items()
            for other in self._store.list(CLUSTER_ROLES):
                labels = other["metadata"].get("labels") or {}
                if other is not role and wanted and all(labels.get(key) == value for key, value in wanted):
                    rules += self.rules("ClusterRole", other["metadata"]["name"], "")
        return rules

    def check_escalation(self, user: UserInfo, key: str, obj: Json, namespace: str) -> None:
        """Raise StatusError 403 for a role or a binding that gives more than its author has."""
        if MASTERS in user.groups or key not in (ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS):
            return
        plural, name = key.partition(".")[0], obj["metadata"].get("name", "")
        if key in (ROLES, CLUSTER_ROLES):
            wish = Wish(verb="escalate", group=GROUP, resource=plural, namespace=namespace, name=name)
            rules = obj.get("rules") or ()
        else:
            reference = obj.get("roleRef") or {}
            kind, role = reference.get("kind", ""), reference.get("name", "")
            resource = "roles" if kind == "Role" else "clusterroles"
            wish = Wish(verb="bind", group=GROUP, resource=resource, namespace=namespace, name=role)
            rules = self.rules(kind, role, namespace)
        if self.allows(user, wish) is not None:
            return
        own = [granted.rule for granted in self.granted(user, namespace)]
        missing = [rule for rule in rules if not _has(own, rule)]
        if missing:
            groups = ", ".join(f'"{group}"' for group in user.groups)
            why = f'user "{user.username}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
            raise errors.forbidden(plural, GROUP, name, why + "\n".join(_shown(rule) for rule in missing))


def _has(own: list[Json], rule: Json) -> bool:
    """Say whether somebody with the rules ``own`` may do all that ``rule`` lets do."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            if not any(covers(one, Wish(verb=verb, path=path)) for one in own):
                return False
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or ("",):
                    plain, _, sub = resource.partition("/")
                    wish = Wish(verb=verb, group=group, resource=plain, subresource=sub, name=name)
                    if not any(covers(one, wish) for one in own):
                        return False
    return True


def _shown(rule: Json) -> str:
    parts = (
        ("APIGroups", "apiGroups"), ("Resources", "resources"), ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"), ("Verbs", "verbs"),
    )  # fmt: skip
    found = [
        f"{title}:[{', '.join(f'{chr(34)}{one}{chr(34)}' for one in rule[name])}]"
        for title, name in parts
        if rule.get(name)
    ]
    return "{" + ", ".join(found) + "}"


def covers(rule: Json, wish: Wish) -> bool:
    """Say whether a rule lets somebody do this."""
    verbs = rule.get("verbs") or ()
    if wish.verb not in verbs and "*" not in verbs:
        return False
    if wish.path:
        return any(_is_path(pattern, wish.path) for pattern in rule.get("nonResourceURLs") or ())
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    if wish.group not in groups and "*" not in groups:
        return False
    if not {"*", wish.whole} & set(resources) and not (wish.subresource and f"*/{wish.subresource}" in resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or wish.name in names


def _is_path(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _is(subject: Json, user: UserInfo, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name", "")
    if kind == "User":
        return name in (user.username, "*")
    if kind == "Group":
        return name in user.groups
    account = f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return kind == "ServiceAccount" and account == user.username


def refusal(user: UserInfo, wish: Wish) -> errors.StatusError:
    """Give the 403 of a wish that no rule grants."""
    if wish.path:
        text = f'forbidden: User "{user.username}" cannot {wish.verb} path "{wish.path}"'
        return errors.StatusError(403, "Forbidden", text, details={})
    place = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    why = f'User "{user.username}" cannot {wish.verb} resource "{wish.whole}" in API group "{wish.group}" {place}'
    return errors.forbidden(wish.resource, wish.group, wish.name, why)


def rules_review(authorizer: Authorizer, user: UserInfo, namespace: str) -> Json:
    """Give the status of a SelfSubjectRulesReview."""
    status: dict[str, Any] = {"resourceRules": [], "nonResourceRules": [], "incomplete": False}
    if MASTERS in user.groups:
        status["resourceRules"] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        status["nonResourceRules"] = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        return status
    for granted in authorizer.granted(user, namespace):
        rule = granted.rule
        verbs = list(rule.get("verbs") or ())
        if rule.get("resources"):
            found = {
                "verbs": verbs,
                "apiGroups": list(rule.get("apiGroups") or ()),
                "resources": list(rule["resources"]),
            }
            if rule.get("resourceNames"):
                found["resourceNames"] = list(rule["resourceNames"])
            status["resourceRules"].append(found)
        elif rule.get("nonResourceURLs"):
            status["nonResourceRules"].append({"verbs": verbs, "nonResourceURLs": list(rule["nonResourceURLs"])})
    return status
