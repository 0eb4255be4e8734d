"""What differs between recorded answers and the embedded server's, what is said of it, and the page about it. Pure but for files."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
GOLDENS = HERE / "goldens"
PAGE = HERE.parents[2] / "docs" / "embedded-differences.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two answers to one request. ``lax`` = the embedded server accepts what the real one refuses."""

    name: str
    request: str
    real: list[Any]
    ours: list[Any]

    @property
    def status(self) -> bool:
        return bool(self.real[0] != self.ours[0])

    @property
    def lax(self) -> bool:
        return bool(self.ours[0] < 300 <= self.real[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why requests whose names match ``names`` are answered otherwise; ``status``: their status may differ too."""

    names: tuple[str, ...]
    why: str
    status: bool = False
    lax: bool = False


def reasons() -> list[Reason]:
    """Read what is said of the differences."""
    rows = yaml.safe_load((HERE / "differences.yaml").read_text())
    return [
        Reason(names=tuple(row["requests"]), why=row["why"], status=row.get("status", False), lax=row.get("lax", False))
        for row in rows
    ]


def reason_for(difference: Difference, known: list[Reason]) -> Reason | None:
    """Give what is said of a difference: a reason for bodies explains no other status, one for refusals no acceptance."""
    for reason in known:
        if any(fnmatch.fnmatchcase(difference.name, name) for name in reason.names) and (
            (reason.status or not difference.status) and (reason.lax or not difference.lax)
        ):
            return reason
    return None


def recorded() -> dict[str, list[list[Any]]]:
    """Give the real server's answers, by scene."""
    found = {}
    for path in sorted(GOLDENS.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            found.setdefault(row[0], []).append(row[1:])
    return found


def version() -> str:
    """Give the version of the server whose answers are recorded."""
    return str(json.loads((GOLDENS / "server.json").read_text())["gitVersion"])


def differences(
    names: Mapping[str, list[str]], real: Mapping[str, list[list[Any]]], ours: Mapping[str, list[list[Any]]]
) -> Iterator[Difference]:
    """Give every pair of answers that is no pair of equals; ``names`` are the requests of each scene in words."""
    for scene, answers in real.items():
        for index, answer in enumerate(answers):
            if answer != ours[scene][index]:
                yield Difference(
                    name=f"{scene}/{index}", request=names[scene][index], real=answer, ours=ours[scene][index]
                )


def page(found: list[Difference], total: int, known: list[Reason]) -> str:
    """Give docs/embedded-differences.md."""
    statuses = sum(one.status for one in found)
    lines = [
        "# Where the embedded API server answers otherwise", "",
        "Made by `pytest tests/local/differential --update-goldens` from `tests/local/differential`. One list of requests was sent to a real",
        f"kube-apiserver {version()} and its answers kept; every run of the tests sends it to the embedded server and compares. Out of both answers",
        "are taken: uids, times, resource versions, addresses, tokens, the order of `managedFields` entries, and the embedded server's own warnings",
        "about kinds that have no effect on it. A difference that is not listed here fails the tests, and so does one that is listed and gone.", "",
        "| | |", "|---|---|", f"| requests | {total} |", f"| same status code | {100 * (total - statuses) / total:.1f} % |",
        f"| same answer, body and warnings | {100 * (total - len(found)) / total:.1f} % |",
        f"| accepted here, refused by the real one | {sum(one.lax for one in found)} |", "",
    ]  # fmt: skip
    for title, chosen in (
        ("Accepted here, refused by the real one", [one for one in found if one.lax]),
        ("Another status code", [one for one in found if one.status and not one.lax]),
        ("The same status code, another body", [one for one in found if not one.status]),
    ):
        lines += [f"## {title}", "", "| why | requests | real | here |", "|---|---|---|---|"]
        groups: dict[str, list[Difference]] = {}
        for one in chosen:
            reason = reason_for(one, known)
            groups.setdefault(reason.why if reason else "not explained", []).append(one)
        for why, members in sorted(groups.items()):
            codes = sorted({(one.real[0], one.ours[0]) for one in members})
            real, ours = (", ".join(str(code) for code in sorted({pair[i] for pair in codes})) for i in (0, 1))
            shown = "; ".join(f"`{one.name}` {one.request}" for one in members[:3])
            more = f" and {len(members) - 3} more" if len(members) > 3 else ""
            lines.append(f"| {cell(why)} | {cell(shown)}{more} | {real} | {ours} |")
        lines.append("")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Give a text as a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
