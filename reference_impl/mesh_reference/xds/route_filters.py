"""Per-route settings of the fault and CORS filters (R8, R9, R18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds.matchers import string_matcher
from mesh_reference.xds.messages import fraction, pack, seconds

if TYPE_CHECKING:
    from google.protobuf import any_pb2

    from mesh_reference.model.http_routes import Cors, Fault, HttpRoute

FAULT_FILTER = "envoy.filters.http.fault"
CORS_FILTER = "envoy.filters.http.cors"

_GRPC_CODES = {code.name: code.value[0] for code in grpc.StatusCode}


def per_filter(route: HttpRoute) -> dict[str, any_pb2.Any]:
    """``typed_per_filter_config`` of a route."""
    out: dict[str, any_pb2.Any] = {}
    if route.fault is not None:
        fault = _fault(route.fault)
        if fault is not None:
            out[FAULT_FILTER] = pack(fault)
    if route.cors is not None:
        out[CORS_FILTER] = pack(_cors(route.cors))
    return out


def _fault(fault: Fault) -> fault_pb2.HTTPFault | None:
    """A delay (R8), an abort (R9), or both."""
    out = fault_pb2.HTTPFault()
    if fault.delay is not None:
        out.delay.CopyFrom(
            common_fault_pb2.FaultDelay(fixed_delay=seconds(fault.delay), percentage=fraction(fault.delay_percent))
        )
    if fault.abort_http is not None:
        out.abort.CopyFrom(fault_pb2.FaultAbort(http_status=fault.abort_http, percentage=fraction(fault.abort_percent)))
    elif fault.abort_grpc in _GRPC_CODES:
        out.abort.CopyFrom(
            fault_pb2.FaultAbort(grpc_status=_GRPC_CODES[fault.abort_grpc], percentage=fraction(fault.abort_percent))
        )
    if not out.HasField("delay") and not out.HasField("abort"):
        return None
    return out


def _cors(cors: Cors) -> cors_pb2.CorsPolicy:
    """R18: whole seconds of max age; unmatched preflights are forwarded unless IGNORE."""
    everything = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=".*"))
    return cors_pb2.CorsPolicy(
        allow_origin_string_match=[
            everything if origin.kind == "present" else string_matcher(origin) for origin in cors.origins
        ],
        allow_methods=",".join(cors.methods),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.expose),
        max_age="" if cors.max_age is None else str(int(cors.max_age)),
        allow_credentials=None if cors.credentials is None else wrappers_pb2.BoolValue(value=cors.credentials),
        forward_not_matching_preflights=wrappers_pb2.BoolValue(value=not cors.ignore_unmatched),
        filter_enabled=base_pb2.RuntimeFractionalPercent(
            default_value=percent_pb2.FractionalPercent(
                numerator=100, denominator=percent_pb2.FractionalPercent.HUNDRED
            )
        ),
    )
