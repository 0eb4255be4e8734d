"""Get and list. Answers are put together from objects that the store has already encoded. Watches are ``watching``'s."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pytest_mesh.clusters.local.apiserver import conversion, errors, requests, selectors, tables
from pytest_mesh.clusters.local.apiserver.rules import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.requests import Target
    from pytest_mesh.clusters.local.apiserver.selectors import Predicate
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.clusters.local.apiserver.store import Item, Store
    from pytest_mesh.contracts import Json

PARTIAL = "PartialObjectMetadata"
META_VERSION = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Form:
    """How objects are to be shown: as themselves (``kind`` empty), as a ``Table`` or as PartialObjectMetadata."""

    kind: str = ""


def form_of(accept: str) -> Form:
    """Read an Accept header: the first form in it that this server makes; raises StatusError 406 for none."""
    for choice in accept.split(",") if accept else ["*/*"]:
        kind, *parameters = (part.strip() for part in choice.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        if kind not in ("application/json", "*/*", "application/*", "application/yaml", ""):
            continue
        if kind == "application/yaml":
            continue
        wanted = given.get("as", "")
        if wanted == "Table" and given.get("v", "v1") == "v1":
            return Form("Table")
        if wanted in (PARTIAL, f"{PARTIAL}List"):
            return Form(PARTIAL)
        if not wanted:
            return Form()
    raise errors.not_acceptable(f"application/json, application/yaml, {requests.PROTOBUF}")


def partial(obj: Json) -> Json:
    """Give an object's metadata alone."""
    return {"kind": PARTIAL, "apiVersion": META_VERSION, "metadata": obj["metadata"]}


def encoded(item: Item, info: ResourceInfo) -> bytes:
    """Give a stored object's JSON as ``info`` serves it."""
    return item.encoded(info.api_version, lambda obj: {**conversion.head(info), **conversion.served(obj, info)})


def predicate(info: ResourceInfo, query: Mapping[str, str], name: str = "") -> Predicate | None:
    """Give what selects the objects of a list or a watch; ``name`` narrows it to one object."""
    fields = query.get("fieldSelector", "")
    if name:
        fields = f"{fields},metadata.name={name}" if fields else f"metadata.name={name}"
    allowed = info.selectable_fields if info.custom else selectors.FIELDS.get(info.key, ())
    return selectors.predicate(query.get("labelSelector", ""), fields, allowed)


def included(query: Mapping[str, str], form: Form) -> str:
    """Give what a Table's rows are to hold of their objects; raises StatusError 400."""
    include = query.get("includeObject", "") or "Metadata"
    if form.kind == "Table" and include not in ("Metadata", "Object", "None"):
        why = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise errors.bad_request(f"Unable to convert to Table as requested: {why}")
    return include


def get(server: Server, target: Target, form: Form, query: Mapping[str, str]) -> bytes:
    """Give one object; raises StatusError 404."""
    info = target.info
    item = server.store.item(info.key, target.namespace, target.name)
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        why = f'Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        raise errors.StatusError(500, "", f"resourceVersion: {why}")
    if item is None:
        raise errors.not_found(info.plural, info.group, target.name)
    if form.kind == PARTIAL:
        return orjson.dumps(partial(conversion.served(item.obj, info)))
    if form.kind == "Table":
        rows = [conversion.served(item.obj, info)]
        metadata = {"resourceVersion": str(item.version)}
        return orjson.dumps(tables.table(info, rows, metadata, include=included(query, form)))
    return encoded(item, info)


def collect(server: Server, target: Target, form: Form, query: Mapping[str, str]) -> bytes:
    """Give a list."""
    info, store = target.info, server.store
    check_version(store, info, query)
    include = included(query, form)
    items = store.items(info.key, target.namespace)
    wanted = predicate(info, query, target.name)
    metadata: Json = {"resourceVersion": str(store.version)}
    token = query.get("continue", "")
    if token:
        version, after = _read_token(token)
        if version < store.oldest(info.key):
            raise errors.expired("The provided continue parameter is too old to display a consistent list result.")
        metadata["resourceVersion"] = str(version)
        items = [item for item in items if (item.namespace, item.name) > after]
    if wanted is not None:
        items = [item for item in items if wanted(item.obj)]
    limit = requests.number(query, "limit")
    if limit and 0 < limit < len(items):
        metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
        place = [items[-1].namespace, items[-1].name]
        content = {"rv": int(metadata["resourceVersion"]), "after": place}
        metadata["continue"] = base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")
        if wanted is not None:
            del metadata["remainingItemCount"]
    if form.kind == "Table":
        rows = [conversion.served(item.obj, info) for item in items]
        return orjson.dumps(tables.table(info, rows, metadata, include=include))
    if form.kind == PARTIAL:
        head: Json = {"kind": f"{PARTIAL}List", "apiVersion": META_VERSION, "metadata": metadata}
        head["items"] = [partial(conversion.served(item.obj, info)) for item in items]
        return orjson.dumps(head)
    head = {"kind": info.list_kind, "apiVersion": info.api_version, "metadata": metadata}
    if info.custom:
        return orjson.dumps(head)[:-1] + b',"items":[' + b",".join(encoded(item, info) for item in items) + b"]}"
    # The items of a built-in kind's list do not say again what they are: the list does.
    start = len(orjson.dumps(conversion.head(info))) - 1
    found = (b"{" + encoded(item, info)[start + 1 :] for item in items)
    return orjson.dumps(head)[:-1] + b',"items":[' + b",".join(found) + b"]}"


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(content["rv"]), (content["after"][0], content["after"][1])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise errors.bad_request("continue key is not valid: it was not made by this server") from error


def check_version(store: Store, info: ResourceInfo, query: Mapping[str, str]) -> None:
    """Raise StatusError for a list at a resource version that cannot be had."""
    text = query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    causes = []
    if match:
        field = "resourceVersionMatch"
        if not text:
            causes.append(
                faults.forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
            )
        if query.get("continue"):
            causes.append(faults.forbidden(field, "resourceVersionMatch is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            causes.append(faults.unsupported(field, match, ("Exact", "NotOlderThan", ""), ordered=False))
        elif match == "Exact" and text == "0":
            causes.append(faults.forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in query:
        causes.append(faults.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if causes:
        raise errors.invalid("ListOptions", "meta.k8s.io", "", causes)
    if query.get("continue") and text not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    version = parse_version(text)
    if version > store.version:
        raise too_large(version, store.version)
    if match == "Exact" and version != store.version:
        changed = store.since(info.key, version) or version < store.oldest(info.key)
        if changed:
            raise errors.expired(f"The provided resource version is too old: {version}")


def too_large(version: int, current: int) -> errors.StatusError:
    """Give the 504 of a resource version from the future (of a server that is gone, most likely)."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return errors.StatusError(
        504,
        "Timeout",
        f"Too large resource version: {version}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def parse_version(text: str) -> int:
    """Read a resource version; "" is 0; raises StatusError 400."""
    if not text:
        return 0
    if not text.isdigit():
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise errors.bad_request(f"invalid resource version: {why}")
    return int(text)
