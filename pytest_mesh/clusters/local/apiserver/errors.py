"""The one exception of the API server, ``StatusError``, and a constructor per Kubernetes reason.

It does not render HTTP: ``server`` turns a StatusError into a ``Status`` object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.contracts import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One fault of one field, as ``status.details.causes`` carries it.

    ``message`` is the text without the field path: ``Required value`` or
    ``Invalid value: "x": must be ...``.
    """

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        """Give the form used inside the message of the Status: ``spec.ports: Required value``."""
        return f"{self.field}: {self.message}"

    def to_json(self) -> Json:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class StatusError(Exception):
    """A refusal that the client sees as a Kubernetes ``Status`` with this HTTP code."""

    def __init__(self, code: int, reason: str, message: str, *, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def to_json(self) -> Json:
        """Give the ``Status`` object of this refusal."""
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def qualified(plural: str, group: str) -> str:
    """Give ``plural.group``, or ``plural`` alone for the core group."""
    return f"{plural}.{group}" if group else plural


def _details(plural: str, group: str, name: str) -> Json:
    details: Json = {"name": name} if name else {}
    if group:
        details["group"] = group
    if plural:
        details["kind"] = plural
    return details


def bad_request(message: str) -> StatusError:
    """Give the 400 of a request that cannot be read."""
    return StatusError(400, "BadRequest", message)


def unauthorized(message: str = "Unauthorized") -> StatusError:
    """Give the 401 of a missing or wrong credential."""
    return StatusError(401, "Unauthorized", message)


def forbidden(plural: str, group: str, name: str, why: str) -> StatusError:
    """Give the 403 of a request that admission or policy refuses."""
    subject = qualified(plural, group)
    quoted = f' "{name}"' if name else ""
    return StatusError(
        403, "Forbidden", f"{subject}{quoted} is forbidden: {why}", details=_details(plural, group, name)
    )


def not_found(plural: str, group: str, name: str) -> StatusError:
    """Give the 404 of an object that is not there."""
    return StatusError(
        404, "NotFound", f'{qualified(plural, group)} "{name}" not found', details=_details(plural, group, name)
    )


class NoPageError(Exception):
    """A path that nothing serves: the answer is no ``Status`` but the bare 404 of Go's HTTP library."""


def no_page() -> NoPageError:
    """Give the 404 of a path under which there is no API at all."""
    return NoPageError()


def no_such_path() -> StatusError:
    """Give the 404 of a path that is not served at all."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed(why: str = "the server does not allow this method on the requested resource") -> StatusError:
    """Give the 405 of a verb that the resource does not have."""
    return StatusError(405, "MethodNotAllowed", why, details={})


def not_acceptable(accepted: str) -> StatusError:
    """Give the 406 when no media type of ``Accept`` can be produced."""
    return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {accepted}")


def already_exists(plural: str, group: str, name: str) -> StatusError:
    """Give the 409 of a create whose name is taken."""
    return StatusError(
        409,
        "AlreadyExists",
        f'{qualified(plural, group)} "{name}" already exists',
        details=_details(plural, group, name),
    )


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(plural: str, group: str, name: str, why: str = MODIFIED) -> StatusError:
    """Give the 409 of a write that was made against another version."""
    return StatusError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}',
        details=_details(plural, group, name),
    )


def expired(message: str) -> StatusError:
    """Give the 410 of a resource version or continue token that is too old."""
    return StatusError(410, "Expired", message)


def unsupported_media_type(message: str) -> StatusError:
    """Give the 415 of a body or patch type that is not read."""
    return StatusError(415, "UnsupportedMediaType", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """Give the 422 that names every faulty field; ``causes`` holds at least one."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(kind, group, name)
    details["causes"] = [cause.to_json() for cause in causes]
    return StatusError(
        422, "Invalid", f'{kind}{"." if group else ""}{group} "{name}" is invalid: {text}', details=details
    )


def not_implemented(message: str) -> StatusError:
    """Give the 501 of something that Kubernetes has and the embedded cluster does not."""
    return StatusError(501, "NotImplemented", f"the embedded cluster does not support this: {message}", details={})
