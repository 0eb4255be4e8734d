"""Header operations of routes and destinations (R17, W8), and the authority hidden among them (R3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2

if TYPE_CHECKING:
    from mesh_reference.model.http_routes import HeaderChanges, Headers

SET = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
ADD = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyHeaders:
    """What Envoy's route or weighted cluster takes. ``authority`` is empty when none is asked for."""

    request_add: tuple[base_pb2.HeaderValueOption, ...]
    request_remove: tuple[str, ...]
    response_add: tuple[base_pb2.HeaderValueOption, ...]
    response_remove: tuple[str, ...]
    authority: str


def translate(headers: Headers) -> EnvoyHeaders:
    """``set`` overwrites, ``add`` appends, ``remove`` removes. Host and ``:``-headers are dropped, except that the
    request's authority is rewritten; ``set`` beats ``add`` there.
    """
    return EnvoyHeaders(
        request_add=_additions(headers.request),
        request_remove=_removals(headers.request),
        response_add=_additions(headers.response),
        response_remove=_removals(headers.response),
        authority=_authority(headers.request.set) or _authority(headers.request.add),
    )


def _additions(changes: HeaderChanges) -> tuple[base_pb2.HeaderValueOption, ...]:
    return tuple(
        base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=key, value=value), append_action=action)
        for pairs, action in ((changes.set, SET), (changes.add, ADD))
        for key, value in pairs
        if not _internal(key)
    )


def _removals(changes: HeaderChanges) -> tuple[str, ...]:
    return tuple(key for key in changes.remove if not _internal(key))


def _internal(key: str) -> bool:
    return key.startswith(":") or key.lower() == "host"


def _authority(pairs: tuple[tuple[str, str], ...]) -> str:
    return next((value for key, value in pairs if key.lower() in {"host", ":authority"}), "")
