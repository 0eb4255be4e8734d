"""The rules of admission webhook configurations. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_mesh.clusters.local.apiserver import cel
from pytest_mesh.clusters.local.apiserver.rules.faults import (
    duplicate,
    named,
    one_of,
    qualified,
    required,
    selector,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
FORM = "; desired format: https://host[/path]"


def check(configuration: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""
    names: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        at, name = f"webhooks[{index}]", webhook.get("name", "")
        yield from _name(name, f"{at}.name")
        if name and name in names:
            yield duplicate(f"{at}.name", name)
        names.add(name)
        yield from _versions(webhook.get("admissionReviewVersions") or [], f"{at}.admissionReviewVersions")
        for number, rule in enumerate(webhook.get("rules") or ()):
            yield from _rule(rule, f"{at}.rules[{number}]")
        yield from one_of(f"{at}.failurePolicy", webhook.get("failurePolicy"), ("Fail", "Ignore"))
        yield from one_of(f"{at}.matchPolicy", webhook.get("matchPolicy"), ("Equivalent", "Exact"))
        effects = webhook.get("sideEffects")
        if effects not in ("None", "NoneOnDryRun"):
            what = f"{at}.sideEffects"
            if effects:
                yield unsupported(what, effects, ("None", "NoneOnDryRun"))
            else:
                yield required(what, "must specify one of None, NoneOnDryRun")
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            text = "the timeout value must be between 1 and 30 seconds"
            yield wrong(f"{at}.timeoutSeconds", webhook["timeoutSeconds"], text)
        yield from selector(webhook.get("namespaceSelector"), f"{at}.namespaceSelector")
        yield from selector(webhook.get("objectSelector"), f"{at}.objectSelector")
        yield from one_of(f"{at}.reinvocationPolicy", webhook.get("reinvocationPolicy"), ("IfNeeded", "Never"))
        yield from _client(webhook.get("clientConfig") or {}, f"{at}.clientConfig")
        yield from _conditions(webhook.get("matchConditions") or [], f"{at}.matchConditions")


def _name(name: str, field: str) -> Iterator[Cause]:
    if not name:
        yield required(field)
        return
    faults = [*named(field, name, "subdomain")]
    yield from faults
    if not faults and name.count(".") < 2:
        yield wrong(field, name, "should be a domain with at least three segments separated by dots")


def _versions(versions: list[str], field: str) -> Iterator[Cause]:
    if not versions:
        yield required(field, "must specify one of v1, v1beta1")
    elif not {"v1", "v1beta1"} & set(versions):
        yield wrong(field, versions, "must include at least one of v1, v1beta1")


def _rule(rule: Json, at: str) -> Iterator[Cause]:
    for name, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(name) or []
        if not values:
            yield required(f"{at}.{name}")
        elif "*" in values and len(values) > 1:
            yield wrong(f"{at}.{name}", values, f"if '*' is present, must not specify other {what}")
    resources = rule.get("resources") or []
    if not resources:
        yield required(f"{at}.resources")
    for every, what in (("*/*", "resources"), ("*", "resources without subresources")):
        others = [one for one in resources if one != every and (every == "*/*" or "/" not in one)]
        if every in resources and others:
            yield wrong(f"{at}.resources", resources, f"if '{every}' is present, must not specify other {what}")
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{at}.operations")
    elif "*" in operations and len(operations) > 1:
        yield wrong(f"{at}.operations", operations, "if '*' is present, must not specify other operations")
    for index, operation in enumerate(operations):
        yield from one_of(f"{at}.operations[{index}]", operation, OPERATIONS)
    yield from one_of(f"{at}.scope", rule.get("scope"), ("*", "Cluster", "Namespaced"))


def _client(client: Json, at: str) -> Iterator[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(at, "exactly one of url or service is required")
        return
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme != "https":
            yield wrong(f"{at}.url", parts.scheme, f"'https' is the only allowed URL scheme{FORM}")
        if not parts.netloc:
            yield wrong(f"{at}.url", "", f"host must be specified{FORM}")
        if parts.username is not None:
            yield wrong(f"{at}.url", parts.username, "user information is not permitted in the URL")
        if parts.fragment:
            yield wrong(f"{at}.url", parts.fragment, "fragments are not permitted in the URL")
        if parts.query:
            yield wrong(f"{at}.url", parts.query, "query parameters are not permitted in the URL")
        return
    place = f"{at}.service"
    service = service or {}
    if not service.get("name"):
        yield required(f"{place}.name")
    if not service.get("namespace"):
        # Kubernetes names the field so, too.
        yield required(f"{place}.name")
    path = service.get("path")
    if path is not None and path not in ("", "/"):
        if not path.startswith("/"):
            yield wrong(f"{place}.path", path, "must start with a '/'")
        segments = path.removeprefix("/") if path.startswith("/") else ""
        for index, segment in enumerate(segments.split("/")):
            if not segment:
                yield wrong(f"{place}.path", path, f"segment[{index}] may not be empty")
    if not 0 < service.get("port", 443) < 65536:
        text = "port is not valid: must be between 1 and 65535, inclusive"
        yield wrong(f"{place}.port", service["port"], text)


def _conditions(conditions: list[Json], at: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        name, expression = condition.get("name", ""), condition.get("expression", "")
        if not expression.strip():
            yield required(f"{at}[{index}].expression")
        elif (fault := cel.condition_fault(expression)) is not None:
            yield wrong(f"{at}[{index}].expression", expression, fault)
        if not name:
            yield required(f"{at}[{index}].name")
            continue
        yield from qualified(f"{at}[{index}].name", name)
        if name in seen:
            yield duplicate(f"{at}[{index}].name", name)
        seen.add(name)
