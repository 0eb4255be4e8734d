"""The exception tree of the reference control plane. It decides nothing: every room raises, callers judge."""

from __future__ import annotations


class MeshError(Exception):
    """Any failure the control plane can name: says what, where and what to do."""


class ApiFailure(MeshError):  # noqa: N818  a refusal is no error of ours
    """The Kubernetes API refused or failed a request.

    ``status`` is the HTTP code (0 when no answer came), ``reason`` the Status object's reason, ``body`` the whole answer.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", body: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body


def why(error: BaseException) -> str:
    """Why a connection failed, in words: some errors have none of their own."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


class NotFound(ApiFailure):
    """404: the object or the resource type does not exist."""


class Conflict(ApiFailure):
    """409: the object exists already, or its resourceVersion or field owner differs."""


class InvalidConfig(MeshError):  # noqa: N818  read as a statement about the object
    """An Istio resource that the control plane cannot serve. ``where`` is ``Kind namespace/name: field.path``."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem
