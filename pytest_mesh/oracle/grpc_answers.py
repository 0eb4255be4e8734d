"""What a gRPC caller gets where a proxy answers by itself: 200 and a status in headers, instead of an HTTP status."""

from __future__ import annotations

from dataclasses import replace

from pytest_mesh.oracle.outcomes import Outcome
from pytest_mesh.oracle.requests import Seen

CODES = {
    name: number
    for number, name in enumerate(
        (
            "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
            "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
            "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
        )
    )
}  # fmt: skip
"""Of the gRPC status codes, in their order."""
_UNKNOWN = 2
_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


def is_grpc(request: Seen) -> bool:
    """Whether a proxy takes a request for one of gRPC: by its content type."""
    kind = request.header("content-type") or ""
    return kind == "application/grpc" or kind.startswith(("application/grpc+", "application/grpc;"))


def as_grpc(one: Outcome, request: Seen) -> Outcome:
    """Give what a gRPC caller gets of a proxy's own answer: HTTP 200, no body, the status in a header."""
    if one.by != "proxy" or not one.status or not is_grpc(request):
        return one
    code = one.grpc_status if one.grpc_status is not None else _OF_HTTP.get(one.status, _UNKNOWN)
    return replace(
        one, status=200, body="", response_headers={**one.response_headers, "grpc-status": str(code)}, grpc_status=code
    )
