"""Documents that each break one validation rule, and their twins that break none: data, read from `vectors/`.

Who refuses them, and with which words, is for the tests that use them. Rule ids are those of docs/validation.md.
A case of a file: ``bad`` at ``field`` of the spec ``base`` (one of bases.yaml, or written out) breaks ``rule``, ``good``
there breaks none; without the key the field is left out. The finding stands at ``at`` (default: ``field``) and holds the
words of ``says``. ``metadata`` and ``top`` are added to the bad document's metadata and to itself; ``of`` is the file
whose kind a case of shapes.yaml has.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal

from pytest_mesh import documents

Json = dict[str, Any]

NAMESPACE = "shop"
"""The namespace that every document names; some rules compare with it."""
KINDS: Mapping[str, tuple[str, str]] = {
    "virtual_service": ("VirtualService", "networking.istio.io/v1"),
    "destination_rule": ("DestinationRule", "networking.istio.io/v1"),
    "service_entry": ("ServiceEntry", "networking.istio.io/v1"),
    "workload_entry": ("WorkloadEntry", "networking.istio.io/v1"),
    "sidecar": ("Sidecar", "networking.istio.io/v1"),
    "gateway": ("Gateway", "networking.istio.io/v1"),
    "peer_authentication": ("PeerAuthentication", "security.istio.io/v1"),
    "authorization_policy": ("AuthorizationPolicy", "security.istio.io/v1"),
    "request_authentication": ("RequestAuthentication", "security.istio.io/v1"),
}
"""File of `vectors/` -> kind and apiVersion of its documents."""
_FOLDER = Path(__file__).with_suffix("")
_REPEATED = "$repeat"
_WIDTH = 120
_OWN = re.compile(rf"(?<![\w.-]){NAMESPACE}(?![\w.-])")
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One rule broken at one place.

    ``line`` shows what is bad about the document; ``at`` is the path of the finding, ``says`` words of its message.
    """

    id: str
    rule: str
    kind: str
    line: str
    at: str
    says: str
    severity: Literal["error", "warning"]
    bad: Json = field(repr=False)
    good: Json = field(repr=False)

    def within(self, namespace: str) -> Vector:
        """The same in another namespace: it is named by some values, too."""
        return replace(self, bad=_moved(self.bad, namespace), good=_moved(self.good, namespace))


def drawn(seed: int, of_each_kind: int | None) -> list[Vector]:
    """As many errors of each kind, another choice for each seed; None = all of them.

    A version that no mesh serves is not among them: there is nobody to refuse it.
    """
    found: list[Vector] = []
    for kind, _api in KINDS.values():
        broken = [
            one for one in all_vectors() if one.kind == kind and one.severity == "error" and one.rule != "unknown-kind"
        ]
        found += broken if of_each_kind is None else Random(f"{kind}-{seed}").sample(broken, of_each_kind)  # noqa: S311
    return found


def acceptable(seed: int, of_each_kind: int | None, namespace: str) -> list[Json]:
    """Valid documents for a namespace: the twins of :func:`drawn`, and what is only warned of."""
    twins = [one.within(namespace).good for one in drawn(seed, of_each_kind)]
    return [*twins, *(one.within(namespace).bad for one in all_vectors() if one.severity == "warning")]


def _moved(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {name: _moved(item, namespace) for name, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, namespace) for item in value]
    return _OWN.sub(namespace, value) if isinstance(value, str) else value


@cache
def all_vectors() -> tuple[Vector, ...]:
    """Every vector, kind by kind; documents are shared: copy before a change. Names are theirs alone."""
    bases: Json = documents.load((_FOLDER / "bases.yaml").read_text(encoding="utf-8"), source="bases.yaml")
    found: list[Vector] = []
    for stem in KINDS:
        path = _FOLDER / f"{stem}.yaml"
        cases: list[Json] = documents.load(path.read_text(encoding="utf-8"), source=path.name)
        found += [_vector(stem, case, bases, len(found) + number) for number, case in enumerate(cases)]
    path = _FOLDER / "shapes.yaml"
    cases = documents.load(path.read_text(encoding="utf-8"), source=path.name)
    found += [_vector(case["of"], case, bases, len(found) + number) for number, case in enumerate(cases)]
    return tuple(found)


def _vector(stem: str, case: Json, bases: Json, number: int) -> Vector:
    kind, api = KINDS[stem]
    base = case["base"] if isinstance(case["base"], dict) else bases[case["base"]]
    place = case.get("at") or case["field"]
    whole = (
        place == "spec"
        or "apiVersion" in case.get("top", ())
        or place in case.get("top", ())
        or place.startswith("metadata")
    )
    made: dict[str, Json] = {}
    for which in ("bad", "good"):
        metadata = {"name": f"v{number}-{which}", "namespace": NAMESPACE}
        document = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": _changed(base, case, which)}
        if which == "bad":
            metadata |= case.get("metadata", {})
            document |= case.get("top", {})
        made[which] = document
    return Vector(
        id=f"{case['rule']}-{stem}-{case['field']}-{number}",
        rule=case["rule"],
        kind=kind,
        line=_line(case),
        at=place if whole else f"spec.{place}",
        says=case["says"],
        severity=case.get("severity", "error"),
        bad=made["bad"],
        good=made["good"],
    )


def _line(case: Json) -> str:
    """What is bad, as one line of flow YAML; a long one is cut."""
    shown = [f"{name}: {json.dumps(case[name], ensure_ascii=False)}" for name in ("metadata", "top") if name in case]
    if not shown:
        value = json.dumps(case["bad"], ensure_ascii=False) if "bad" in case else "left out"
        shown = [f"{case['field']}: {value}"]
    line = ", ".join(shown)
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…"


def _changed(base: Json, case: Json, which: str) -> Json:
    """The base with the case's value at its field, or without the field; maps on the way are made."""
    result = copy.deepcopy(base)
    place: Any = result
    steps = [int(step) if step.isdigit() else step for step in _STEP.findall(case["field"])]
    for step in steps[:-1]:
        place = place.setdefault(step, {}) if isinstance(step, str) else place[step]
    if which in case:
        place[steps[-1]] = _expanded(case[which])
    elif steps:
        place.pop(steps[-1], None)
    return result


def _expanded(value: Any) -> Any:
    """``{$repeat: [text, times]}`` as the long text it stands for, wherever it is."""
    if isinstance(value, dict):
        if _REPEATED in value:
            text, times = value[_REPEATED]
            return text * times
        return {name: _expanded(item) for name, item in value.items()}
    return [_expanded(item) for item in value] if isinstance(value, list) else value
