"""Pages of docs/ that are made from the code: options, fixtures' members, features. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import mesh_conformance.catalogue
from pytest_mesh import fixtures, hooks, options, plugin
from pytest_mesh.keys import FIXTURES
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.snapshots import MeshState
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.proxies import Proxy
from pytest_mesh.traffic.responses import Handshake, Response

_MADE = "*Made from the code: `make pages-fresh` writes it, a test holds it.*"
_CLASSES = (fixtures.RunningMesh, MeshNamespace, MeshState, Client, Response, Handshake, Proxy)


def options_page() -> str:
    """Give every option with its twins and its default, the markers and the hooks."""
    rows = [_option(row) for row in options.ROWS]
    markers = [
        f"| `@pytest.mark.{name}` | {_cell(text)} |"
        for name, _, text in (line.partition(": ") for line in plugin.MARKERS)
    ]
    named = [(name, value) for name, value in vars(hooks).items() if name.startswith("pytest_mesh_")]
    hooked = [f"| `{name}{inspect.signature(value)}` | {_cell(_first(value))} |" for name, value in named]
    return "\n".join(
        [
            "# Options, markers, hooks",
            "",
            _MADE,
            "",
            "A flag wins over the environment variable, that over the ini file, that over the default. The header of a run names each",
            "value that is not the default, with where it came from. A value that cannot be ends the run with 4 and one line.",
            "",
            "| flag | default | what it does | environment | ini |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## Markers",
            "",
            "| marker | what it does |",
            "|---|---|",
            *markers,
            "",
            "## Hooks",
            "",
            "For plugins and `conftest.py`.",
            "",
            "| hook | what it gives |",
            "|---|---|",
            *hooked,
            "",
        ]
    )


def members_page() -> str:
    """Give the fixtures and the public members of what they give, with signatures and first sentences."""
    lines = [
        "# Fixtures, member by member",
        "",
        _MADE,
        "",
        "[Fixtures](fixtures.md) is the page to read; this one is for looking up.",
        "",
    ]
    lines += ["| fixture | scope | what it gives |", "|---|---|---|"]
    for name in sorted({*FIXTURES, *(name for name in plugin.__all__ if name.startswith("mesh"))}):
        definition = getattr(fixtures, name, None) or getattr(plugin, name)
        scope = str(definition._fixture_function_marker.scope)
        lines.append(f"| `{name}` | {scope} | {_cell(_first(definition._fixture_function))} |")
    for one in _CLASSES:
        lines += ["", f"## {one.__name__}", "", _first(one), "", "| member | what it is |", "|---|---|"]
        lines += [f"| {_cell(shown)} | {_cell(text)} |" for shown, text in _members(one)]
    lines += ["", "## MeshSettings", "", _first(MeshSettings), "", "| field | default |", "|---|---|"]
    lines += [
        f"| `{name}: {field.type}` | `{field.default}` |" for name, field in MeshSettings.__dataclass_fields__.items()
    ]
    return "\n".join([*lines, ""])


def features_page() -> str:
    """Give every feature of the catalogue by profile."""
    features = mesh_conformance.catalogue.FEATURES
    lines = [
        "# Features",
        "",
        _MADE,
        "",
        f"{len(features)} features. *Core* is what every mesh with Istio's API must do, *extended* what it may leave out, *provisional* what is",
        "new: its failures are listed and change no profile's result ([verdicts](verdicts.md)). Rules are rows of [Istio's semantics](rows.md), of SPIFFE and of [identity](identity.md).",
    ]
    for profile in dict.fromkeys(one.profile for one in features):
        lines += ["", f"## {profile}", "", "| feature | level | promise | rules | since |", "|---|---|---|---|---|"]
        lines += [
            f"| [`{one.id}`]({one.link}) | {one.level} | {_cell(one.title)} | {', '.join(one.rows)} | {one.since} |"
            for one in sorted(features, key=lambda item: (item.level != "core", item.level, item.id))
            if one.profile == profile
        ]
    return "\n".join([*lines, ""])


def _option(row: options.Row) -> str:
    value = "" if row.switch else f"={row.metavar or '|'.join(row.choices)}"
    default = f"`{row.default}`" if row.default else ""
    environment = ", ".join(f"`{name}`" for name in (row.env, row.also) if name)
    return f"| `{_cell(row.flag + value)}` | {default} | {_cell(row.help)} | {environment} | `{row.dest}` |"


def _members(one: type) -> Iterator[tuple[str, str]]:
    for name, value in vars(one).items():
        if name.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"`{name}`", _first(value.fget)
        elif callable(value):
            signature = str(inspect.signature(value)).replace("(self, ", "(").replace("(self)", "()").replace("'", "")
            # A function as a default is shown by an address that is another one each time.
            yield f"`{name}{re.sub(r'<function [^>]*>[^>]* at 0x[0-9a-f]+>', '...', signature)}`", _first(value)


def _first(thing: object) -> str:
    """Give the first sentence or two of a docstring: its first paragraph."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`").replace("<", "&lt;")
