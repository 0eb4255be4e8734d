"""Kubernetes' own CEL functions, those that the CRDs of meshes use: strings, lists, URLs, addresses, quantities.

Imported at the first rule only. What is not here is named in a warning by ``cel``.
"""

from __future__ import annotations

import functools
import ipaddress
import operator
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from celpy import celtypes

from pytest_mesh.clusters.local.apiserver import quantities

if TYPE_CHECKING:
    from collections.abc import Callable

String, Bool, Int, List, Map = (
    celtypes.StringType,
    celtypes.BoolType,
    celtypes.IntType,
    celtypes.ListType,
    celtypes.MapType,
)


def _substring(text: str, start: int, end: int | None = None) -> Any:
    stop = len(text) if end is None else int(end)
    if not 0 <= int(start) <= stop <= len(text):
        raise ValueError(f"index out of range: {start if end is None else end}")
    return String(str(text)[int(start) : stop])


def _split(text: str, separator: str, limit: int = -1) -> Any:
    if limit == 0:
        return List([])
    parts = str(text).split(str(separator), int(limit) - 1 if limit > 0 else -1) if separator else list(str(text))
    return List([String(part) for part in parts])


def _replace(text: str, old: str, new: str, limit: int = -1) -> Any:
    return String(str(text).replace(str(old), str(new), int(limit)))


def _index_of(holder: Any, item: Any, start: int = 0) -> Any:
    if isinstance(holder, list):
        return Int(next((index for index, one in enumerate(holder) if one == item), -1))
    return Int(str(holder).find(str(item), int(start)))


def _last_index_of(holder: Any, item: Any) -> Any:
    if isinstance(holder, list):
        return Int(max((index for index, one in enumerate(holder) if one == item), default=-1))
    return Int(str(holder).rfind(str(item)))


def _join(parts: Any, separator: str = "") -> Any:
    return String(str(separator).join(str(part) for part in parts))


def _find(text: str, pattern: str) -> Any:
    match = re.search(str(pattern), str(text))
    return String(match[0] if match else "")


def _find_all(text: str, pattern: str, limit: int = -1) -> Any:
    found = [String(match[0]) for match in re.finditer(str(pattern), str(text))]
    return List(found if limit < 0 else found[: int(limit)])


def _is_url(text: str) -> Any:
    parts = urlsplit(str(text))
    return Bool(bool(parts.scheme) or str(text).startswith("/"))


def _url(text: str) -> Any:
    if not _is_url(text):
        raise ValueError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
    return String(text)


def _of_url(part: Callable[[Any], str]) -> Callable[[str], Any]:
    return lambda url: String(part(urlsplit(str(url))))


def _host(parts: Any) -> str:
    return str(parts.netloc.rpartition("@")[2])


def _hostname(parts: Any) -> str:
    return _host(parts).rpartition(":")[0] if parts.port is not None else _host(parts)


def _query(url: str) -> Any:
    found = parse_qs(urlsplit(str(url)).query, keep_blank_values=True)
    return Map({String(key): List([String(value) for value in values]) for key, values in found.items()})


def _accepts(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def accepts(text: str) -> Any:
        try:
            kind(str(text))
        except ValueError:
            return Bool(False)
        return Bool(True)

    return accepts


def _address(text: str) -> Any:
    return ipaddress.ip_address(str(text))


def _network(text: str) -> Any:
    if "/" not in text:
        raise ValueError(f"network address parse error: {text}")
    return ipaddress.ip_network(str(text), strict=False)


def _contains_ip(network: Any, address: Any) -> Any:
    return Bool(_address(str(address)) in _network(str(network)))


def _is_sorted(items: Any) -> Any:
    return Bool(all(items[index] <= items[index + 1] for index in range(len(items) - 1)))


def _sum(items: Any) -> Any:
    return functools.reduce(operator.add, items) if items else Int(0)


def _compare(left: Any, right: Any) -> Any:
    one, other = quantities.parse(str(left)), quantities.parse(str(right))
    return Int((one > other) - (one < other))


def _format(text: str, arguments: Any) -> Any:
    values = iter(arguments)
    return String(re.sub(r"%[a-z]", lambda _match: str(next(values)), str(text)))


@functools.cache
def functions() -> dict[str, Callable[..., Any]]:
    """Give the functions by the names that rules call them by."""
    return {
        "substring": _substring,
        "split": _split,
        "replace": _replace,
        "indexOf": _index_of,
        "lastIndexOf": _last_index_of,
        "join": _join,
        "find": _find,
        "findAll": _find_all,
        "lowerAscii": lambda text: String(str(text).lower()),
        "upperAscii": lambda text: String(str(text).upper()),
        "trim": lambda text: String(str(text).strip()),
        "charAt": lambda text, index: _substring(text, index, int(index) + 1),
        "format": _format,
        "isURL": _is_url,
        "url": _url,
        "getScheme": _of_url(lambda parts: str(parts.scheme)),
        "getHost": _of_url(_host),
        "getHostname": _of_url(_hostname),
        "getPort": _of_url(lambda parts: "" if parts.port is None else str(parts.port)),
        "getEscapedPath": _of_url(lambda parts: str(parts.path)),
        "getQuery": _query,
        "isIP": _accepts(_address),
        "ip": lambda text: String(_address(text)),
        "family": lambda text: Int(_address(text).version),
        "isCIDR": _accepts(_network),
        "cidr": lambda text: String(text) if _network(text) else String(""),
        "containsIP": _contains_ip,
        "prefixLength": lambda text: Int(_network(text).prefixlen),
        "isSorted": _is_sorted,
        "sum": _sum,
        "min": min,
        "max": max,
        "isQuantity": _accepts(quantities.parse),
        "quantity": lambda text: String(text) if quantities.parse(str(text)) is not None else String(""),
        "compareTo": _compare,
        "isLessThan": lambda left, right: Bool(_compare(left, right) < 0),
        "isGreaterThan": lambda left, right: Bool(_compare(left, right) > 0),
    }
