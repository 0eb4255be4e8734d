"""docs/validation.md: every validation rule in words, the document that breaks it, what is said of it and by whom.

The page is made from the vectors and from what judges them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mesh_conformance.validation import vectors
from mesh_reference import documents
from mesh_reference.validation import galley

Json = dict[str, Any]
Judge = Callable[[str], Json | None]

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "validation.md"
WORDS: dict[str, str] = documents.load_all((Path(vectors.__file__).with_suffix("") / "rules.yaml").read_text())[0].value
DIFFERENCES: list[Json] = documents.load_all((HERE / "istio_differences.yaml").read_text())[0].value
SHAPE = "any kind"
TESTS = """\
Each row is a test: `test_a_rule_speaks_at_its_field_alone_and_not_about_the_twin[RULE-...]` in
`tests/reference/validation/test_rules_refuse.py` (the document breaks this rule and no other, its twin breaks none) and
`test_a_bad_document_is_refused_in_the_words_of_validate_and_its_twin_is_taken[RULE-...]` in
`test_the_api_server_says_the_same.py` there. `make validation-live` does the second on a running mesh, with the API and with
`kubectl apply`, and asks `istioctl validate` for its verdict on every document.
"""
HEAD = f"""\
# Validation rules

Made by `pytest tests/reference/validation/test_the_api_server_says_the_same.py --update-goldens` from the tests. The documents are
`conformance/mesh_conformance/validation/vectors/`, one file a kind; `mesh_conformance.validation.vectors` reads them. The suite's
check of `RejectsInvalid` draws three of each kind by the run's seed (`MESH_EXTENDED=1`: all) and wants each refused and its twin taken.

{TESTS}
## One refusal, wherever it is met

`refmesh validate -f FILE` and the running mesh say the same: the field, the sentence, the rule's id in brackets. Around that stand

| where | what stands around it |
|---|---|
| `refmesh validate` | `FILE:LINE:COLUMN: error: KIND NAMESPACE/NAME: ` before |
| the webhook | `admission webhook "..." denied the request: configuration is invalid: ` before; of several errors one a line |
| CEL in the CRD | `KIND "NAME" is invalid: FIELD: Invalid value: ...: ` before; of a map's key it names the map |
| the CRD's schema | the same, without the id; FIELD again as `FIELD in body` |
| unknown fields | `strict decoding error: ` before, without the id |

What Galley knows and an API server cannot say stands behind the sentence in round brackets. `tests/reference/validation/refusals.py`
takes off exactly this and compares. A document with several faults is refused for all that the first judge finds: the decoder, then
schema, then CEL, then Galley; `refmesh validate` names what Galley finds, and of a wrong shape the shape alone.

The columns: *by* is who refuses first in a running mesh (decoder, schema, CEL, Galley); a rule marked *warns* only tells, in the
admission's warnings and in `validate`. The bad document is shown by what is bad about it.
"""


def refuser(vector: vectors.Vector, definition: Judge) -> str:
    if vector.severity == "warning":
        return "warns"
    if vector.rule == "unknown-kind":
        return "no such path"
    status = definition(vector.id)
    if status is None:
        return "Galley"
    if "strict decoding error" in status["message"]:
        return "decoder"
    return "CEL" if f"[{vector.rule}]" in status["message"] else "schema"


def cell(text: str, width: int = 160) -> str:
    shown = " ".join(text.split())
    return (shown if len(shown) <= width else shown[:width] + "…").replace("|", "\\|")


def page(definition: Judge) -> str:
    """The page; ``definition`` = the Status with which schema or CEL refuses the vector of an id, None if they take it."""
    out = [HEAD]
    found: dict[str, list[vectors.Vector]] = {}
    for vector in vectors.all_vectors():
        shape = (vector.rule.islower() and "-" in vector.rule) or vector.rule in {"null", "annotation"}
        found.setdefault(SHAPE if shape else vector.kind, []).append(vector)
    for kind in (SHAPE, *(kind for kind in found if kind != SHAPE)):
        out += [
            f"## {kind[0].upper()}{kind[1:]}",
            "",
            "| rule | in words | a bad document | said of it | by |",
            "|---|---|---|---|---|",
        ]
        before = ""
        order = list(dict.fromkeys(vector.rule for vector in found[kind]))
        for vector in sorted(found[kind], key=lambda one: order.index(one.rule)):
            said = next(one for one in galley.validate(vector.bad) if one.rule == vector.rule)
            words, line = "″" if vector.rule == before else cell(WORDS[vector.rule]), cell(vector.line)
            before = vector.rule
            out.append(f"| {vector.rule} | {words} | `{line}` | {cell(said.text)} | {refuser(vector, definition)} |")
        out.append("")
    out += [
        "## Where Istio decides otherwise", "",
        "`istioctl validate` runs istiod's rules without Istio's CRDs. It takes every twin and refuses every bad document but these; of generated",
        "documents (sound ones with up to three parts changed) only these were judged otherwise. Istio's own CRD was asked on a kube-apiserver.", "",
        "| rule | kind | document | why |", "|---|---|---|---|",
        *(
            f"| {one['rule']} | {one['kind']} | {'`' + cell(one['document']) + '`' if 'document' in one else 'generated'} | {cell(one['reason'], 400)} |"
            for one in DIFFERENCES
        ), "",
        "Only told, by Istio not at all: V34c (its warning is lost on the way). Only told here and there: V63e, V63i (Istio's rule exists, but its decoder drops the empty",
        "list before; the policy then matches everything).",
    ]  # fmt: skip
    return "\n".join(out) + "\n"
