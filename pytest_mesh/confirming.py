"""Whether the oracle that is installed here is the one that was held against a real Istio: reads its sources, for reports.

It decides nothing: the record and the words are ``oracle.confirmation``'s. Nothing is read before somebody asks.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from pytest_mesh.oracle import confirmation

_RECORD = "confirmation.py"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def standing() -> str:
    """Give the word for a report: ``confirmed by ...`` or ``unconfirmed: ...``."""
    return confirmation.standing(digest())


def digest() -> str | None:
    """Give the digest of the oracle's sources but the record's; None where they are not there to be read."""
    found = {
        one.name: one.read_text(encoding="utf-8")
        for one in files("pytest_mesh.oracle").iterdir()
        if one.name.endswith(".py") and one.name != _RECORD
    }
    return digest_of(found) if found else None


def digest_of(sources: dict[str, str]) -> str:
    """Give the digest of modules by file name: comments, docstrings and layout do not count. Pure.

    The same on every version of Python: fields that a version adds, and that are empty, are left out.
    """
    told = hashlib.sha256()
    for name in sorted(sources):
        told.update(f"{name}\n".encode())
        for part in _parts(ast.parse(sources[name])):
            told.update(part.encode())
    return told.hexdigest()


def _parts(value: object) -> Iterator[str]:
    """Give what a tree says, without positions, docstrings and sentences that stand alone."""
    if isinstance(value, ast.AST):
        yield f"({type(value).__name__}"
        for name, field in ast.iter_fields(value):
            if field is None or field == []:
                continue
            documented = name == "body" and isinstance(value, _DOCUMENTED)
            yield f" {name}="
            yield from _parts([one for one in field if not _is_text(one)] if documented else field)
        yield ")"
    elif isinstance(value, list):
        yield "["
        for one in value:
            yield from _parts(one)
        yield "]"
    else:
        yield f"{type(value).__name__} {value!r};"


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
