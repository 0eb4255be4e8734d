"""Why checks failed, read from the file that ``--junitxml`` writes: what a run's report does not tell apart.

It judges nothing: a mutant is killed whatever the reason, and the page says which it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ASSERTION, NOT_CONVERGED, FIXTURE = "assertion", "not converged", "fixture"
_PACKAGES = re.compile(r"^(tests|conformance\.mesh_conformance)\.")
_RAISED = re.compile(r"^(?:E +)?(?:[a-z_]\w*\.)*([A-Z]\w*)(?::|$)", re.MULTILINE)
_ASSERTIONS = {"AssertionError", "MeshFailure", "SplitFailure", "Refused", "WorkloadFailure", "Failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one test ended."""

    test: str
    """Below ``tests`` or the suite: ``routing/test_x.py::test_y[z]``."""
    verdict: str
    """passed, skipped or failed."""
    kind: str = ""
    """Of a failure: ``assertion``, ``not converged``, ``fixture`` (the check's own body never ran), or the exception's name."""
    message: str = ""


def read(path: Path) -> list[Ended]:
    """Give how each test of a run ended, one after the other; a test whose teardown failed as well stands once."""
    found: dict[str, Ended] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        one = _ended(case)
        if one.test not in found or found[one.test].verdict == "passed":
            found[one.test] = one
    return list(found.values())


def _ended(case: ET.Element) -> Ended:
    module = _PACKAGES.sub("", case.get("classname") or "").replace(".", "/")
    test = f"{module}.py::{case.get('name')}"
    failure, error = case.find("failure"), case.find("error")
    for element in (failure, error):
        if element is not None:
            message = element.get("message") or ""
            return Ended(test=test, verdict="failed", kind=_kind(element, in_call=failure is not None), message=message)
    return Ended(test=test, verdict="skipped" if case.find("skipped") is not None else "passed")


def _kind(element: ET.Element, *, in_call: bool) -> str:
    """Say what a failure is: JUnit's file calls those outside a test's own body errors."""
    if not in_call:
        return FIXTURE
    told = element.get("message") or ""
    raised = _RAISED.match(told) or _RAISED.search("\n".join(re.findall(r"^E .*$", element.text or "", re.MULTILINE)))
    name = raised[1] if raised else "AssertionError"  # a plain assert's message begins with "assert"
    if name == "NotConverged":
        return NOT_CONVERGED
    return ASSERTION if name in _ASSERTIONS else name
