"""What the oracle refuses, with the place that made it refuse."""

from __future__ import annotations


class OracleError(ValueError):
    """The oracle gives no prediction; the message names file, object and field."""


class Unsupported(OracleError):  # noqa: N818 - reads as a verdict
    """Something that the oracle does not model: it refuses rather than guess."""


class Malformed(OracleError):  # noqa: N818 - reads as a verdict
    """A document that a mesh refuses, or that is no document of its kind."""
