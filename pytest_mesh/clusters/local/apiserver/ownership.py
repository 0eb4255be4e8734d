"""Who manages which fields of an object: ``metadata.managedFields``. Pure but for the caller's time.

The sets themselves are ``fieldsets``; merging an applied configuration is ``applying``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import errors, fieldsets

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.fieldsets import Path
    from pytest_mesh.contracts import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """One line of managedFields: ``operation`` is ``Apply`` or ``Update``."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, and since when it is this set."""

    fields: frozenset[Path]
    time: str


Owners = dict[Manager, Owned]


def read(obj: Json) -> Owners:
    """Read the managedFields of an object; raises StatusError 422 for ones that cannot be."""
    owners: Owners = {}
    for entry in obj["metadata"].get("managedFields") or ():
        if not entry:
            continue
        if entry.get("operation") not in ("Apply", "Update") or entry.get("fieldsType", "FieldsV1") != "FieldsV1":
            raise errors.bad_request(f"metadata.managedFields: invalid operation or fieldsType in {entry!r}")
        manager = Manager(
            name=entry.get("manager", ""),
            operation=entry["operation"],
            api_version=entry.get("apiVersion", ""),
            subresource=entry.get("subresource", ""),
        )
        owners[manager] = Owned(fieldsets.from_json(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return owners


def write(owners: Owners) -> list[Json]:
    """Give the managedFields of these owners, Apply first, then by time and name."""
    entries = []
    order = sorted(
        owners.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0].name, pair[0].subresource)
    )
    for manager, owned in order:
        entry: Json = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldsets.to_json(owned.fields),
        }
        if not owned.time:
            del entry["time"]
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return entries


@dataclass(frozen=True, slots=True)
class Difference:
    """The fields by which two versions of an object differ."""

    added: frozenset[Path]
    modified: frozenset[Path]
    removed: frozenset[Path]

    def without(self, field: str) -> Difference:
        """Give what is left outside the top-level field ``field``, a step such as ``f:status``."""
        return Difference(
            *(frozenset(p for p in paths if p[0] != field) for paths in (self.added, self.modified, self.removed))
        )

    @property
    def written(self) -> frozenset[Path]:
        return self.added | self.modified


def compare(old: Json | None, new: Json, schema: Any) -> Difference:
    """Give what changed from ``old`` (None = nothing was there) to ``new``."""
    before = fieldsets.shape_of(schema).blank if old is None else fieldsets.flatten(old, schema, structs=True)
    after = fieldsets.flatten(new, schema, structs=True)
    return Difference(
        frozenset(after.keys() - before.keys()),
        frozenset(
            path
            for path, value in after.items()
            if path in before and before[path] is not value and before[path] != value
        ),
        frozenset(before.keys() - after.keys()),
    )


def note_update(owners: Owners, manager: Manager, difference: Difference, time: str) -> Owners:
    """Give the owners after ``manager`` wrote ``difference`` by anything but an apply."""
    result = _lose(owners, manager, difference, time)
    had = owners[manager].fields if manager in owners else frozenset()
    fields = (had - difference.removed) | difference.written
    if fields:
        unchanged = manager in owners and fields == had and not difference.written
        result[manager] = owners[manager] if unchanged else Owned(fields, time)
    return result


def note_apply(owners: Owners, manager: Manager, applied: frozenset[Path], difference: Difference, time: str) -> Owners:
    """Give the owners after ``manager`` applied a configuration that holds the fields ``applied``."""
    result = _lose(owners, manager, difference, time)
    had = owners.get(manager)
    if applied:
        changed = bool(difference.written or difference.removed)
        # A configuration that changes nothing has no time: the object was not written for it.
        result[manager] = had if had is not None and had.fields == applied else Owned(applied, time if changed else "")
    return result


def _lose(owners: Owners, writer: Manager, difference: Difference, time: str) -> Owners:
    """Take from all others what ``writer`` changed or removed."""
    result: Owners = {}
    for manager, owned in owners.items():
        if manager == writer:
            continue
        left = owned.fields - difference.written - difference.removed
        if left:
            result[manager] = owned if left == owned.fields else Owned(left, time)
    return result


def conflicts(owners: Owners, writer: Manager, written: frozenset[Path]) -> errors.StatusError | None:
    """Give the 409 that names who else owns what ``writer`` would change, or None."""
    found = [
        (manager, sorted(owned.fields & written))
        for manager, owned in owners.items()
        if manager != writer and owned.fields & written
    ]
    if not found:
        return None
    lines, causes = [], []
    for manager, paths in found:
        subresource = f" with subresource {manager.subresource!r}" if manager.subresource else ""
        using = f"{subresource} using {manager.api_version}" if manager.operation == "Update" else ""
        who = f'conflict with "{manager.name}"{using}'
        shown = [fieldsets.shown(path) for path in paths]
        causes += [{"reason": "FieldManagerConflict", "message": who, "field": field} for field in shown]
        lines.append(who.replace("conflict ", "conflicts ") + ":\n" + "\n".join(f"- {one}" for one in shown))
    count = f"{len(causes)} conflict{'' if len(causes) == 1 else 's'}"
    text = "\n".join(sorted(lines))
    if len(causes) == 1:
        text = f"{causes[0]['message']}: {causes[0]['field']}"
    return errors.StatusError(409, "Conflict", f"Apply failed with {count}: {text}", details={"causes": causes})
