"""Retry policies: Istio's default and what a VirtualService makes of it (R11-R16)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds.messages import pack, seconds

if TYPE_CHECKING:
    from mesh_reference.model.http_routes import Retries

DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_STATUSES = frozenset(status.value for status in HTTPStatus)


def policy(retries: Retries | None, *, hashed: bool) -> routes.RetryPolicy | None:
    """The policy of a route; None = no retries (``attempts: 0``, R12). ``hashed``: keep to the hashed host (R15)."""
    if retries is None:
        return _default(hashed=hashed)
    if retries.attempts <= 0:
        return None
    out = _default(hashed=hashed)
    out.num_retries.value = retries.attempts
    if retries.retry_on:
        conditions, codes = parse_retry_on(retries.retry_on)
        out.retry_on = conditions
        out.retriable_status_codes.extend(codes)
    if retries.per_try_timeout is not None:
        out.per_try_timeout.CopyFrom(seconds(retries.per_try_timeout))
    if retries.ignore_previous_hosts is not None:
        del out.retry_host_predicate[:]
        if retries.ignore_previous_hosts:
            out.retry_host_predicate.append(_other_host())
    if retries.remote_localities:
        out.retry_priority.CopyFrom(
            routes.RetryPolicy.RetryPriority(
                name="envoy.retry_priorities.previous_priorities",
                typed_config=pack(previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)),
            )
        )
    if retries.backoff is not None:
        out.retry_back_off.base_interval.CopyFrom(seconds(retries.backoff))
    return out


def inbound_policy() -> routes.RetryPolicy:
    """R16: the server's side repeats only what the application cannot have seen."""
    return routes.RetryPolicy(retry_on="reset-before-request", num_retries=wrappers_pb2.UInt32Value(value=2))


def parse_retry_on(text: str) -> tuple[str, list[int]]:
    """R13: numbers are status codes, and bring ``retriable-status-codes`` with them."""
    conditions: list[str] = []
    codes: list[int] = []
    for part in (piece.strip() for piece in text.split(",")):
        if part.isdigit() and int(part) in _STATUSES:
            codes.append(int(part))
        elif part:
            conditions.append(part)
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    return ",".join(conditions), codes


def _default(*, hashed: bool) -> routes.RetryPolicy:
    return routes.RetryPolicy(
        retry_on=DEFAULT_RETRY_ON,
        num_retries=wrappers_pb2.UInt32Value(value=2),
        retry_host_predicate=[] if hashed else [_other_host()],
        host_selection_retry_max_attempts=5,
    )


def _other_host() -> routes.RetryPolicy.RetryHostPredicate:
    return routes.RetryPolicy.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=pack(previous_hosts_pb2.PreviousHostsPredicate()),
    )
