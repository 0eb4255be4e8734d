"""``matchConditions``: CEL over the request. cel-python is imported at the first condition, not before.

The ``authorizer`` variable is not there: a condition that uses it is an evaluation error.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.contracts import Json


class ConditionError(Exception):
    """One or more conditions could not be evaluated, and none was false."""


def hold(conditions: Sequence[Json], review: Json) -> bool:
    """Say whether every condition is true of an AdmissionReview to be sent.

    One false condition decides, whatever the others do; else raises ConditionError if any failed.
    """
    if not conditions:
        return True
    request = review["request"]
    variables = {"object": request["object"], "oldObject": request["oldObject"], "request": request}
    failures = []
    for condition in conditions:
        try:
            value = evaluate(condition["expression"], variables)
        except ConditionError as error:
            failures.append(f"expression '{condition['expression']}' resulted in error: {error}")
            continue
        if value is False:
            return False
        if value is not True:
            failures.append(f"expression '{condition['expression']}' must evaluate to bool")
    if failures:
        raise ConditionError(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")
    return True


def evaluate(expression: str, variables: Json) -> object:
    """Give an expression's value, booleans as ``bool``; raises ConditionError."""
    from celpy import celtypes
    from celpy.adapter import json_to_cel
    from celpy.evaluation import CELEvalError

    program = _program(expression)
    try:
        value = program.evaluate({name: json_to_cel(value) for name, value in variables.items()})
    except (CELEvalError, ValueError, TypeError, KeyError) as error:
        raise ConditionError(_text(error)) from error
    if isinstance(value, CELEvalError):
        raise ConditionError(_text(value))
    return bool(value) if isinstance(value, celtypes.BoolType) else value


@functools.lru_cache(maxsize=256)
def _program(expression: str) -> Any:
    import celpy
    from celpy.celparser import CELParseError

    environment = celpy.Environment()
    try:
        return environment.program(environment.compile(expression))
    except CELParseError as error:
        raise ConditionError(f"compilation failed: {_text(error)}") from error


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
