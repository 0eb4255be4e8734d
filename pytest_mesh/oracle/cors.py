"""Cross-origin requests (R18): what the client's proxy answers to a preflight, and what it adds to other answers."""

from __future__ import annotations

from pytest_mesh.oracle.matching import takes
from pytest_mesh.oracle.model import Cors, StringMatch
from pytest_mesh.oracle.requests import Seen

_ALLOW = "access-control-allow-"


def preflight(cors: Cors, request: Seen) -> dict[str, str | None] | None:
    """Give the headers of the proxy's own 200 to a preflight; None where the request goes on to its route.

    A preflight is an OPTIONS with an Origin and the method that it asks for. One of an origin that is not allowed goes on,
    unless ``unmatchedPreflights`` is IGNORE: then the proxy answers it, and allows nothing.
    """
    origin = request.header("origin")
    if not origin or request.method != "OPTIONS" or not request.header("access-control-request-method"):
        return None
    if not allowed(cors, origin):
        return {f"{_ALLOW}origin": None} if cors.ignore_unmatched else None
    told = {
        f"{_ALLOW}origin": origin,
        f"{_ALLOW}methods": cors.methods,
        f"{_ALLOW}headers": cors.headers,
        f"{_ALLOW}credentials": "true" if cors.credentials else "",
        "access-control-max-age": cors.max_age,
    }
    return {name: value or None for name, value in told.items()}


def added(cors: Cors, request: Seen) -> dict[str, str | None]:
    """Give the headers that any other answer to a cross-origin request gets; none for an origin that is not allowed."""
    origin = request.header("origin")
    if not origin or not allowed(cors, origin):
        return {}
    told = {
        f"{_ALLOW}origin": origin,
        f"{_ALLOW}credentials": "true" if cors.credentials else "",
        "access-control-expose-headers": cors.expose,
    }
    return {name: value for name, value in told.items() if value}


def allowed(cors: Cors, origin: str) -> bool:
    """Whether an origin is allowed; a match that takes ``*`` takes everything."""
    return any(_any(match) or takes(match, origin) for match in cors.origins)


def _any(match: StringMatch) -> bool:
    return match.kind == "present" or takes(match, "*")
