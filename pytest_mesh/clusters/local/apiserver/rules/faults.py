"""The faults that a field can have, as ``Cause`` objects, and the checks of single values that many kinds share. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects
from pytest_mesh.clusters.local.apiserver.errors import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_mesh.contracts import Json

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"
IP_RULE = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR_RULE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
MAX_ID = (1 << 31) - 1
_PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def required(field: str, why: str = "") -> Cause:
    """Give the fault of a field that is not there."""
    return Cause(field=field, message=f"Required value{': ' + why if why else ''}", reason="FieldValueRequired")


def wrong(field: str, value: Any, why: str) -> Cause:
    """Give the fault of a value that breaks a rule."""
    return Cause(field=field, message=f"Invalid value: {_shown(value)}: {why}")


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return f'"{value}"'
    if value is None:
        return "null"
    return objects.shown(value) if isinstance(value, (dict, list, bool)) else value


def unsupported(field: str, value: Any, allowed: Sequence[str], *, ordered: bool = True) -> Cause:
    """Give the fault of a value outside an enumeration; without ``ordered`` the names keep their order."""
    shown = ", ".join(f'"{item}"' for item in (sorted(allowed) if ordered else allowed))
    return Cause(
        field=field,
        message=f"Unsupported value: {_shown(value)}: supported values: {shown}",
        reason="FieldValueNotSupported",
    )


def duplicate(field: str, value: Any) -> Cause:
    """Give the fault of a value that must be unique."""
    return Cause(field=field, message=f"Duplicate value: {_shown(value)}", reason="FieldValueDuplicate")


def forbidden(field: str, why: str) -> Cause:
    """Give the fault of a field that must not be there or must not change."""
    return Cause(field=field, message=f"Forbidden: {why}", reason="FieldValueForbidden")


def not_found(field: str, value: str) -> Cause:
    """Give the fault of a name that nothing has."""
    return Cause(field=field, message=f'Not found: "{value}"', reason="FieldValueNotFound")


def one_of(field: str, value: Any, allowed: Sequence[str], *, ordered: bool = True) -> Iterator[Cause]:
    """Check an enumeration; nothing given is no fault."""
    if value not in (None, "") and value not in allowed:
        yield unsupported(field, value, allowed, ordered=ordered)


def not_negative(holder: Json, path: str, *names: str) -> Iterator[Cause]:
    """Check that numbers are zero or more."""
    for name in names:
        value = holder.get(name)
        if isinstance(value, int) and value < 0:
            yield wrong(f"{path}.{name}", value, NOT_NEGATIVE)


def identity(holder: Json, path: str, *names: str) -> Iterator[Cause]:
    """Check user and group ids."""
    for name in names:
        value = holder.get(name)
        if isinstance(value, int) and not 0 <= value <= MAX_ID:
            yield wrong(f"{path}.{name}", value, f"must be between 0 and {MAX_ID}, inclusive")


def named(field: str, value: str, rule: str) -> Iterator[Cause]:
    """Check a name by a rule of ``objects.name_fault``."""
    if (fault := objects.name_fault(value, rule)) is not None:
        yield wrong(field, value, fault)


def qualified(field: str, value: str) -> Iterator[Cause]:
    """Check a qualified name, such as a label's key."""
    if (fault := objects.label_key_fault(value)) is not None:
        yield wrong(field, value, fault)


def address(field: str, value: str, version: int | None = None, text: str = IP_RULE) -> Iterator[Cause]:
    """Check an IP address."""
    try:
        good = version is None or ipaddress.ip_address(value).version == version
        ipaddress.ip_address(value)
    except ValueError:
        good = False
    if not good:
        yield wrong(field, value, text)


def public(field: str, value: str) -> Iterator[Cause]:
    """Check that an address is one that traffic can be sent to from elsewhere."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return
    if found.is_unspecified:
        yield wrong(field, value, "may not be unspecified (0.0.0.0 or ::)")
    elif found.is_loopback:
        yield wrong(field, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
    elif found.is_link_local:
        yield wrong(field, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")


def network(field: str, value: str) -> Iterator[Cause]:
    """Check a range of addresses."""
    try:
        ipaddress.ip_network(value, strict=False)
        good = "/" in value
    except ValueError:
        good = False
    if not good:
        yield wrong(field, value, CIDR_RULE)


def port(value: Any, field: str) -> Iterator[Cause]:
    """Check a port's number."""
    if isinstance(value, int) and not 0 < value < 65536:
        yield wrong(field, value, "must be between 1 and 65535, inclusive")


def port_name_fault(name: str) -> str | None:
    """Give why a port's name is none, or None."""
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not re.fullmatch("[a-z0-9-]+", name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    if "--" in name:
        return "must not contain consecutive hyphens"
    return None if _PORT_NAME.fullmatch(name) else "must not begin or end with a hyphen"


def port_or_name(value: Any, field: str) -> Iterator[Cause]:
    """Check a port given by number or by name."""
    if isinstance(value, str):
        if (fault := port_name_fault(value)) is not None:
            yield wrong(field, value, fault)
    else:
        yield from port(value, field)


def share(value: Any, field: str, *, most: bool = False) -> Iterator[Cause]:
    """Check a number or a percentage; with ``most`` it may not be more than 100 %."""
    if isinstance(value, str):
        if re.fullmatch(r"\d+%", value) is None:
            yield wrong(field, value, PERCENT_RULE)
        elif most and int(value[:-1]) > 100:
            yield wrong(field, value, "must not be greater than 100%")
    elif isinstance(value, int) and value < 0:
        yield wrong(field, value, NOT_NEGATIVE)


def labels(found: Json | None, path: str) -> Iterator[Cause]:
    """Check a map of labels."""
    for key, value in (found or {}).items():
        yield from qualified(path, key)
        if (fault := objects.label_value_fault(value)) is not None:
            yield wrong(path, value, fault)


def selector(found: Json | None, path: str) -> Iterator[Cause]:
    """Check a label selector."""
    yield from labels((found or {}).get("matchLabels"), f"{path}.matchLabels")
    for index, term in enumerate((found or {}).get("matchExpressions") or ()):
        at, operator, values = f"{path}.matchExpressions[{index}]", term.get("operator", ""), term.get("values")
        if operator in ("In", "NotIn"):
            if not values:
                yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                yield forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        else:
            yield wrong(f"{at}.operator", operator, "not a valid selector operator")
        yield from qualified(f"{at}.key", term.get("key", ""))
        for number, value in enumerate(values or ()):
            if (fault := objects.label_value_fault(value)) is not None:
                yield wrong(f"{at}.values[{number}]", value, fault)


def selects(found: Json, carried: Json) -> bool:
    """Say whether a sound selector selects labels."""
    for key, value in (found.get("matchLabels") or {}).items():
        if carried.get(key) != value:
            return False
    for term in found.get("matchExpressions") or ():
        value = carried.get(term.get("key", ""))
        held = {
            "In": value in (term.get("values") or ()),
            "NotIn": value not in (term.get("values") or ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(term.get("operator", ""), False)
        if not held:
            return False
    return True
