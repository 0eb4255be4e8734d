"""Create, update and patch: from a decoded body to the store, through rules, ownership and admission.

Between the last look at the store and the write there is no await, so that every write is
made against the version it was computed from. Deletion is ``deleting``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import (
    applying,
    conversion,
    customdefinitions,
    deleting,
    errors,
    fieldsets,
    jsontext,
    lastapplied,
    lifecycle,
    objects,
    ownership,
    patches,
    plugins,
    preparing,
    requests,
    services,
    strategic,
    unwritable,
)
from pytest_mesh.clusters.local.apiserver.ownership import Manager

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

ATTEMPTS = 8
"""Times that an unconditional write is tried again because another one came between."""


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write: the object in the request's version, warnings for the client, whether it is new."""

    obj: Json
    warnings: list[str]
    created: bool = False


@dataclass(frozen=True, slots=True)
class _Applied:
    """A configuration sent by server-side apply, and the fields it holds."""

    config: Json
    fields: frozenset[fieldsets.Path]


async def create(server: Server, target: Target, body: Json, options: WriteOptions) -> Written:
    """Store a new object."""
    return await _create(server, target, body, options, applied=None)


async def _create(
    server: Server, target: Target, body: Json, options: WriteOptions, *, applied: _Applied | None
) -> Written:
    info, namespace = target.info, target.namespace
    if info.custom:
        definition = server.store.get(deleting.CRDS, "", info.key)
        if definition is not None and definition["metadata"].get("deletionTimestamp"):
            raise errors.forbidden(
                info.plural, info.group, "", "create not allowed while custom resource definition is terminating"
            )
    warnings = lifecycle.cautions(info, body)
    preparing.check_identity(info, body, namespace, target.name)
    obj, unknown = preparing.decode(info, body)
    warnings += preparing.unknown_fields(info, unknown, options.validation)
    _name(info, obj)
    server.authorizer.check_escalation(options.user, info.key, obj, namespace)
    if info.namespaced:
        lifecycle.check_namespace(server.store, info, namespace, obj["metadata"]["name"])
    name = obj["metadata"]["name"]
    if applied is None and obj["metadata"].get("resourceVersion") not in (None, "", "0"):
        raise errors.StatusError(500, "", "resourceVersion should not be set on objects to be created")
    lifecycle.begin(info, obj)
    preparing.fill_in(info, obj)
    obj = _own(info, None, obj, options, "", applied)
    plugins.admit(server.store, info, obj)
    warnings += preparing.check(info, obj, None)
    lifecycle.refuse_unsupported(info, obj)
    admitted, more = await server.admission.admit(
        "CREATE",
        info,
        conversion.served(obj, info),
        None,
        namespace=namespace,
        name=name,
        user=options.user,
        dry_run=options.dry_run,
    )
    warnings += more
    obj = _after_admission(info, obj, admitted, None)
    if info.namespaced:
        lifecycle.check_namespace(server.store, info, namespace, name)
    if server.store.item(info.key, namespace, name) is not None:
        raise errors.already_exists(info.plural, info.group, name)
    if info.key == "services":
        services.allocate(server.store, obj, None)
    shown = None
    if info.kind == "CustomResourceDefinition":
        customdefinitions.begin(obj)
        shown = objects.copy(obj)
    if options.dry_run:
        return Written(conversion.served(obj, info), warnings, created=True)
    if shown is not None:
        customdefinitions.establish(server.registry, obj)
    item = server.store.put(info.key, conversion.stored(obj, info))
    if shown is not None:
        # What its author sees is the definition that is not established yet.
        shown["metadata"]["resourceVersion"] = str(item.version)
        return Written(shown, warnings, created=True)
    return Written(conversion.served(item.obj, info), warnings, created=True)


def _name(info: ResourceInfo, obj: Json) -> None:
    metadata = obj["metadata"]
    if not metadata.get("name"):
        if not metadata.get("generateName"):
            cause = errors.Cause(
                field="metadata.name",
                message="Required value: name or generateName is required",
                reason="FieldValueRequired",
            )
            raise errors.invalid(info.kind, info.group, "", [cause])
        metadata["name"] = objects.generate_name(metadata["generateName"])


async def replace(server: Server, target: Target, body: Json, options: WriteOptions) -> Written:
    """Store a whole new form of an object or of its status."""
    preparing.check_identity(target.info, body, target.namespace, target.name)
    info, version = target.info, body["metadata"].get("resourceVersion")
    if not version and info.custom:
        cause = errors.Cause(
            field="metadata.resourceVersion", message="Invalid value: 0: must be specified for an update"
        )
        raise errors.invalid(info.plural, info.group, target.name, [cause])
    return await _update(server, target, options, lambda _old: body, conditional=bool(version))


async def patch(server: Server, target: Target, body: Any, content_type: str, options: WriteOptions) -> Written:
    """Change an object by a patch; server-side apply creates it if it is not there."""
    kind, info = requests.media_type(content_type), target.info
    if kind == requests.APPLY_PATCH:
        return await _apply(server, target, body, options)
    if kind == requests.STRATEGIC_PATCH and info.custom:
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            f"{requests.JSON_PATCH}, {requests.MERGE_PATCH}, {requests.APPLY_PATCH}"
        )

    def change(old: Json) -> Json:
        if kind == requests.JSON_PATCH:
            return patches.json_patch(old, body)
        if body is None and kind == requests.STRATEGIC_PATCH:
            return old
        if body is None:
            raise errors.bad_request("Invalid JSON Patch")
        if not isinstance(body, dict):
            start = "" if kind == requests.STRATEGIC_PATCH else "error decoding patch: "
            what = jsontext.kind_of(body)
            raise errors.bad_request(
                f"{start}json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
            )
        if kind == requests.MERGE_PATCH:
            merged: Json = patches.merge_patch(old, body)
            return merged
        return strategic.strategic_merge(old, body, info.schema)

    stated = isinstance(body, dict) and bool((body.get("metadata") or {}).get("resourceVersion"))
    return await _update(server, target, options, change, conditional=stated, patched=True)


async def _apply(server: Server, target: Target, body: Any, options: WriteOptions) -> Written:
    info = target.info
    if not isinstance(body, dict | None):
        why = f"json: cannot unmarshal {jsontext.kind_of(body)} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")
    version, named = (body or {}).get("apiVersion") or "", (body or {}).get("kind") or ""
    if (version, named) != (info.api_version, info.kind):
        shown = version if "/" in version else f"/{version}"
        raise errors.bad_request(f"invalid object type: {shown}, Kind={named}")
    body = body or {}
    body = objects.copy(body)
    metadata = body.get("metadata")
    stated = str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""
    preparing.check_identity(info, body, target.namespace, target.name)
    if body["metadata"].get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    try:
        config, unknown = preparing.decode(info, body, with_defaults=False)
    except errors.StatusError as error:
        raise unwritable.untyped(info, target, stated, error.message.rpartition(": ")[2]) from error
    if unknown:
        raise unwritable.untyped(info, target, stated, f".{unknown[0]}: field not declared in schema")
    if (again := fieldsets.duplicate(config, info.schema)) is not None:
        raise unwritable.untyped(info, target, stated, again)
    warnings: list[str] = []
    if info.has_status:
        if target.subresource == "status":
            config = {name: config[name] for name in config if name in ("apiVersion", "kind", "metadata", "status")}
            identity = ("name", "namespace", "uid", "resourceVersion")
            config["metadata"] = {name: v for name, v in config["metadata"].items() if name in identity}
        else:
            config.pop("status", None)
    applied = _Applied(config, frozenset(fieldsets.flatten(config, info.schema)))
    if server.store.item(info.key, target.namespace, target.name) is None:
        if target.subresource:
            raise errors.not_found(info.plural, info.group, target.name)
        if config["metadata"].get("uid"):
            raise errors.conflict(
                info.plural, info.group, target.name, f"uid mismatch: the provided object specified uid "
                f"{config['metadata']['uid']}, and no existing object was found",
            )  # fmt: skip
        written = await _create(server, target, objects.copy(config), options, applied=applied)
    else:
        conditional = bool(config["metadata"].get("resourceVersion"))
        written = await _update(server, target, options, lambda _old: config, conditional=conditional, applied=applied)
    return Written(written.obj, warnings + written.warnings, written.created)


async def _update(
    server: Server,
    target: Target,
    options: WriteOptions,
    change: Callable[[Json], Json],
    *,
    conditional: bool,
    patched: bool = False,
    applied: _Applied | None = None,
) -> Written:
    info = target.info
    for _ in range(ATTEMPTS):
        item = server.store.item(info.key, target.namespace, target.name)
        if item is None:
            raise errors.not_found(info.plural, info.group, target.name)
        old = conversion.served(item.obj, info)
        warnings: list[str] = []
        if applied is not None:
            new = _merged(info, old, applied, options, target.subresource)
            stated = applied.config["metadata"].get("resourceVersion")
            new, _ = preparing.decode(info, new)
        else:
            changed = dict(change(old))
            try:
                new, warnings = _read(info, changed, target, options)
            except errors.StatusError as error:
                raise unwritable.unpatchable(changed, error) if patched and error.code == 400 else error from error
            stated = new["metadata"].get("resourceVersion")
            if patched and new["metadata"].get("uid") not in (None, old["metadata"]["uid"]):
                cause = errors.Cause(
                    field="metadata.uid", message=f'Invalid value: "{new["metadata"]["uid"]}": field is immutable'
                )
                raise errors.invalid(info.kind, info.group, target.name, [cause, cause])
        if stated and not stated.isdigit():
            raise errors.StatusError(500, "", f'strconv.ParseUint: parsing "{stated}": invalid syntax')
        if stated not in (None, "", "0") and stated != old["metadata"]["resourceVersion"]:
            raise errors.conflict(info.plural, info.group, target.name)
        forgotten = applied is None and changed.get("metadata", {}).get("managedFields") in ([], [{}])
        new = lifecycle.carry_over(info, old, new, target.subresource)
        server.authorizer.check_escalation(options.user, info.key, new, target.namespace)
        preparing.fill_in(info, new)
        if info.key == "services":
            services.allocate(server.store, new, old)
        if forgotten or (applied is None and not old["metadata"].get("managedFields")):
            # Who manages what is forgotten until the next apply.
            new["metadata"].pop("managedFields", None)
        else:
            new = _own(info, old, new, options, target.subresource, applied)
        if applied is not None:
            lastapplied.follow(new, options.manager, applied.config)
        warnings += preparing.check(info, new, old)
        admitted, more = await server.admission.admit(
            "UPDATE",
            info,
            new,
            old,
            namespace=target.namespace,
            name=target.name,
            user=options.user,
            dry_run=options.dry_run,
            subresource=target.subresource,
        )
        new = _after_admission(info, new, admitted, old)
        if server.store.item(info.key, target.namespace, target.name) is not item:
            if conditional:
                raise errors.conflict(info.plural, info.group, target.name)
            continue
        return Written(_keep(server, target, old, new, options), warnings + more)
    raise errors.conflict(info.plural, info.group, target.name)


def _read(info: ResourceInfo, obj: Json, target: Target, options: WriteOptions) -> tuple[Json, list[str]]:
    """Give a changed object with its types checked, and warnings about unknown fields; raises StatusError 400."""
    preparing.check_identity(info, obj, target.namespace, target.name)
    decoded, unknown = preparing.decode(info, obj)
    return decoded, preparing.unknown_fields(info, unknown, options.validation)


def _merged(info: ResourceInfo, old: Json, applied: _Applied, options: WriteOptions, subresource: str) -> Json:
    """Give the object with an applied configuration merged in and what it no longer holds taken out."""
    merged = applying.merge(old, applied.config, info.schema)
    owners = ownership.read(old)
    writer = Manager(name=options.manager, operation="Apply", api_version=info.api_version, subresource=subresource)
    before = owners.get(writer)
    if before is not None:
        given_up = before.fields - applied.fields
        others = {path for manager, owned in owners.items() if manager != writer for path in owned.fields}
        merged = applying.remove(merged, info.schema, given_up, others | applied.fields)
    return merged


def _own(
    info: ResourceInfo,
    old: Json | None,
    new: Json,
    options: WriteOptions,
    subresource: str,
    applied: _Applied | None,
) -> Json:
    """Write managedFields; raises StatusError 409 for an apply that others' fields stand against."""
    owners = ownership.read(new if old is None or new["metadata"].get("managedFields") is not None else old)
    if old is None and applied is None and owners:
        owners = {}
    difference = ownership.compare(old, new, info.schema).without(_reset(info, subresource))
    if info.key == "namespaces":
        difference = difference.without("f:status" if not subresource else "")
    operation = "Update" if applied is None else "Apply"
    writer = Manager(name=options.manager, operation=operation, api_version=info.api_version, subresource=subresource)
    time = objects.timestamp()
    if applied is None:
        owners = ownership.note_update(owners, writer, difference, time)
    else:
        excused = lastapplied.excused(old, options.manager, info.api_version, info.schema)
        conflict = ownership.conflicts(owners, writer, difference.written - excused)
        if not options.force and conflict is not None:
            raise conflict
        owners = ownership.note_apply(owners, writer, applied.fields, difference, time)
    new["metadata"]["managedFields"] = ownership.write(owners)
    if not owners:
        del new["metadata"]["managedFields"]
    return new


def _reset(info: ResourceInfo, subresource: str) -> str:
    """Give the field whose changes nobody owns by this write, because the server says itself what it is."""
    if info.key == "namespaces" and not subresource:
        return "f:spec"
    if not info.has_status:
        return ""
    return "f:spec" if subresource == "status" else "f:status"


def _after_admission(info: ResourceInfo, sent: Json, admitted: Json | None, old: Json | None) -> Json:
    """Check again what webhooks changed; they may not change who owns what or which object it is."""
    if admitted is None or admitted is sent:
        return sent
    obj, _ = preparing.decode(info, admitted)
    for name in ("name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion", "managedFields"):
        if name in sent["metadata"]:
            obj["metadata"][name] = sent["metadata"][name]
        else:
            obj["metadata"].pop(name, None)
    preparing.fill_in(info, obj)
    preparing.check(info, obj, old)
    return obj


def _keep(server: Server, target: Target, old: Json, new: Json, options: WriteOptions) -> Json:
    """Store the new form, unless nothing changed; take the object out if it was only waiting for this."""
    info = target.info
    if lifecycle.same(old, new):
        return old
    if target.subresource != "status":
        lifecycle.count_generation(info, old, new)
    if options.dry_run:
        return new
    if info.kind == "CustomResourceDefinition":
        customdefinitions.establish(server.registry, new)
    if lifecycle.is_over(info, new):
        deleting.remove(server, info, new)
        return new
    return conversion.served(server.store.put(info.key, conversion.stored(new, info)).obj, info)
