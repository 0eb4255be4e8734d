"""The keys of an implementation's file (format 1): section, key, field of ``contracts.Implementation``, and its rule. Pure.

Rules that concern several keys at once are in ``coherence``; the file itself is
read in ``loader``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pytest_mesh.implementations.positions import Path

Expand = Callable[[str], str]
"""Puts values in the place of ``{python}`` and its like; raises :class:`RuleError`."""
Read = Callable[[Any, Expand], Any]
"""Checks a value and gives the field's; raises :class:`RuleError`."""

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_USER = re.compile(r"\d+(:\d+)?")


class RuleError(ValueError):
    """A value that breaks its rule; ``below`` leads from the key to the element that does."""

    def __init__(self, rule: str, *below: str | int) -> None:
        super().__init__(rule)
        self.below: Path = below


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: the field that it fills, and how it is read."""

    field: str
    read: Read
    words: frozenset[str] = frozenset()
    """Words in braces that stay as they are until the command is run."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Say that a name is not known, and which was probably meant."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"is not known here; did you mean {near[0]!r}?"
    return f"is not known here (known: {', '.join(names)})"


def elsewhere(section: str, key: str) -> str:
    """Say that a key is not known in its section, and in which it is."""
    homes = [f"[{other}]" for other, keys in SECTIONS.items() if other != section and key in keys]
    return f"is a key of {' and '.join(homes)}" if homes else nearest(key, SECTIONS[section])


def text(value: Any, expand: Expand) -> str:
    """Read a string."""
    if not isinstance(value, str) or not value:
        raise RuleError(f"must be a string that is not empty{_got(value)}")
    return expand(value)


def texts(value: Any, expand: Expand) -> dict[str, str]:
    """Read a table of strings."""
    if not isinstance(value, dict):
        raise RuleError(f"must be a table of strings{_got(value)}")
    for name, one in value.items():
        if not isinstance(one, str):
            raise RuleError(f"must be a string{_got(one)}", name)
    return {name: _below(expand, one, name) for name, one in value.items()}


def argv(value: Any, expand: Expand) -> tuple[str, ...]:
    """Read a list of strings."""
    if not isinstance(value, list) or not value:
        raise RuleError(f"must be a list of strings that is not empty{_got(value)}")
    for index, one in enumerate(value):
        if not isinstance(one, str):
            raise RuleError(f"must be a string{_got(one)}", index)
    return tuple(_below(expand, one, index) for index, one in enumerate(value))


def user(value: Any, expand: Expand) -> str:
    """Read ``UID`` or ``UID:GID``."""
    del expand
    if not isinstance(value, str) or not _USER.fullmatch(value):
        raise RuleError('must be "UID" or "UID:GID" in numbers')
    return value


def _argvs(value: Any, expand: Expand) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, list) for one in value):
        raise RuleError(f'must be a list of commands, each a list of strings: [["program", "argument"]]{_got(value)}')
    return tuple(_below(lambda one: argv(one, expand), one, index) for index, one in enumerate(value))


def _labels(value: Any, expand: Expand) -> dict[str, str]:
    found = texts(value, expand)
    for name, one in found.items():
        if not _LABEL_KEY.fullmatch(name):
            raise RuleError("is no name of a Kubernetes label ([prefix/]name)", name)
        if not _LABEL_VALUE.fullmatch(one):
            raise RuleError(f"{one!r} is no value of a Kubernetes label", name)
    return found


def _annotations(value: Any, expand: Expand) -> dict[str, str]:
    found = texts(value, expand)
    for name in found:
        if not _LABEL_KEY.fullmatch(name):
            raise RuleError("is no name of a Kubernetes annotation ([prefix/]name)", name)
    return found


def _annotation(value: Any, expand: Expand) -> str:
    found = text(value, expand)
    if not _LABEL_KEY.fullmatch(found):
        raise RuleError(f"{found!r} is no name of a Kubernetes annotation ([prefix/]name)")
    return found


def _label_value(value: Any, expand: Expand) -> str:
    found = text(value, expand)
    if not _LABEL_VALUE.fullmatch(found):
        raise RuleError(f"{found!r} is no value of a Kubernetes label")
    return found


def _dns_label(value: Any, expand: Expand) -> str:
    found = text(value, expand)
    if not _DNS_LABEL.fullmatch(found):
        raise RuleError(f"{found!r} is no Kubernetes name (a-z, 0-9 and -, at most 63)")
    return found


def _trust_domain(value: Any, expand: Expand) -> str:
    found = text(value, expand)
    if not _TRUST_DOMAIN.fullmatch(found):
        raise RuleError(f"{found!r} is no trust domain: a-z, 0-9, '.', '-' and '_', without spiffe:// (SPIFFE-ID 2.1)")
    return found


def _absolute_path(value: Any, expand: Expand) -> str:
    found = text(value, expand)
    if not found.startswith("/"):
        raise RuleError(f"{found!r} must be an absolute path")
    return found


def _names(*what: str) -> Read:
    wanted = f"must be {len(what)} strings that are not empty: [{', '.join(what)}]"

    def read(value: Any, expand: Expand) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) != len(what) or not all(value):
            raise RuleError(f"{wanted}{_got(value)}")
        return argv(value, expand)

    return read


def _ready(value: Any, expand: Expand) -> tuple[str, ...]:
    names = argv(value, expand)
    for index, name in enumerate(names):
        namespace, slash, deployment = name.partition("/")
        if not slash or not _DNS_LABEL.fullmatch(namespace) or not _DNS_NAME.fullmatch(deployment):
            raise RuleError(f"{name!r} must be a Deployment as namespace/name", index)
    return names


def _port(value: Any, expand: Expand) -> int:
    del expand
    if type(value) is not int or not 1 <= value <= 65535:
        raise RuleError(f"must be a port, 1 to 65535 (leave the key out where there is none){_got(value)}")
    return value


def _true(value: Any, expand: Expand) -> bool:
    del expand
    if value is not True:
        raise RuleError(f"must be true, or be left out{_got(value)}")
    return True


def _seconds(value: Any, expand: Expand) -> float:
    del expand
    if type(value) not in {int, float} or not 0 < value <= 3600:
        raise RuleError(f"must be a number of seconds above 0, 3600 at most{_got(value)}")
    return float(value)


def _features(value: Any, expand: Expand) -> Any:
    if value in {"all", "inferred"} if isinstance(value, str) else False:
        return value
    if not isinstance(value, list):
        raise RuleError(f'must be "all", "inferred" or a list of features{_got(value)}')
    found = argv(value, expand)
    for index, name in enumerate(found):
        if name in found[:index]:
            raise RuleError(f"{name!r} stands here twice", index)
    return found


def _got(value: Any) -> str:
    if isinstance(value, list):
        return ", not empty" if not value else ""
    return ", not a table" if isinstance(value, dict) else f", not {value!r}"


def _below(read: Callable[[Any], Any], value: Any, part: str | int) -> Any:
    """Read an element; what is wrong in it is told from the whole."""
    try:
        return read(value)
    except RuleError as error:
        raise RuleError(str(error), part, *error.below) from None


def _same(read: Read, *names: str) -> dict[str, Key]:
    return {name: Key(field=name, read=read) for name in names}


IMAGE: dict[str, Read] = {"root": text, "entrypoint": argv, "env": texts, "readable": argv, "user": user}
"""The keys of a row of the image table."""

SECTIONS: dict[str, dict[str, Key]] = {
    "implementation": {
        **_same(text, "name", "organization", "project", "url", "version"),
        **_same(argv, "contact"),
    },
    "install": {
        **_same(_true, "already_there"),
        **_same(argv, "manifests_command", "manifests"),
        **_same(_argvs, "install", "remove"),
        **_same(_ready, "ready"),
        **_same(_dns_label, "namespace"),
    },
    "injection": {
        "labels": Key(field="injection_labels", read=_labels),
        **_same(_label_value, "revision"),
        **_same(_labels, "pod_opt_out_labels"),
        **_same(_annotations, "pod_annotations"),
        **_same(_annotation, "exclude_inbound_annotation", "proxy_metadata_annotation"),
        **_same(_dns_label, "proxy_container", "init_container"),
        **_same(_port, "inbound_port", "outbound_port", "admin_port"),
        **_same(argv, "kube_inject_command"),
        "config_dump_command": Key(field="config_dump_command", read=argv, words=frozenset({"{pod}", "{namespace}"})),
    },
    "identity": {
        **_same(_trust_domain, "trust_domain"),
        **_same(text, "svid_ttl_key"),
        **_same(_names("ConfigMap", "key"), "root_config_map"),
        **_same(_names("namespace", "Secret", "key"), "root_secret"),
        **_same(_port, "client_certificate_port"),
        **_same(_absolute_path, "sds_socket"),
    },
    "conformance": {
        **_same(_features, "features"),
        **_same(_seconds, "convergence_seconds"),
    },
}
