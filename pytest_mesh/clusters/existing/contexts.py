"""Which cluster a kubeconfig means: its files merged, one context chosen and written down alone.

The copy pins the choice: whoever changes the current context while tests run
does not move them to another cluster, and commands that know nothing of
contexts meet the right one. It speaks to no cluster.
"""

from __future__ import annotations

import base64
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_mesh import documents
from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own ServiceAccount."""
_FILES: Final = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}
"""Keys of a kubeconfig that name files, relative to its own directory."""
_LISTS: Final = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One context of a kubeconfig, with what is needed to reach its cluster."""

    context: str
    server: str
    source: str
    """Where the kubeconfig is, for a person."""
    config: Json
    """A kubeconfig with this context alone; file names are absolute."""


def choose(
    given: Path | None, context: str, *, told: bool, environ: Mapping[str, str], account: Path = _ACCOUNT
) -> Chosen:
    """Give the context to use: the kubeconfig's current one, unless ``context`` was ``told`` on the command line.

    Args:
        given: the kubeconfig; None = kubectl's own search, then the pod's ServiceAccount.
        context: a context's name; empty = the current one.
        told: whether the name stood on the command line, not in a file or the environment.
        environ: the process's environment.
        account: directory of the pod's ServiceAccount.

    Raises ``Infrastructure`` with one line that says which contexts there are.
    """
    paths = _paths(given, environ)
    if given is None and not any(path.is_file() for path in paths) and (account / "token").is_file():
        return _in_cluster(account, environ)
    config = _merged(paths)
    source = ":".join(map(str, paths))
    names = [str(one["name"]) for one in config["contexts"]]
    listed = f"{source} has: {', '.join(names) or 'none'}"
    current = config["current-context"]
    if not context and not current:
        raise Infrastructure(f"the kubeconfig has no current context: name one by --mesh-context ({listed})")
    wanted = context or current
    if wanted not in names:
        raise Infrastructure(f"no context {wanted!r}: name another by --mesh-context ({listed})")
    if wanted != current and not told:
        raise Infrastructure(
            f"context {wanted!r} (from the environment or an ini file) is not the kubeconfig's current one, "
            f"{current!r}: say which on the command line: --mesh-context={wanted}"
        )
    alone = _alone(config, wanted)
    return Chosen(
        context=wanted, server=str(alone["clusters"][0]["cluster"].get("server", "")), source=source, config=alone
    )


def write(chosen: Chosen, directory: Path) -> Path:
    """Write the kubeconfig of one context, mode 0600; give its path."""
    path = directory / "kubeconfig"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(documents.write(chosen.config))
    return path


def embedded(cluster: Json) -> Json:
    """Give a kubeconfig's cluster with its certificate inside; raises ``Infrastructure`` where that cannot be read."""
    inside = dict(cluster["cluster"])
    path = inside.pop("certificate-authority", "")
    if path and not inside.get("certificate-authority-data"):
        try:
            inside["certificate-authority-data"] = base64.b64encode(Path(path).read_bytes()).decode()
        except OSError as error:
            raise Infrastructure(f"{path}, which the kubeconfig names: {error.strerror}") from error
    return {"name": cluster["name"], "cluster": inside}


def _paths(given: Path | None, environ: Mapping[str, str]) -> list[Path]:
    if given is not None:
        if not given.is_file():
            raise Infrastructure(f"no kubeconfig at {given}: name one by --mesh-kubeconfig")
        return [given]
    named = [Path(one) for one in environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    return named or [Path(environ.get("HOME", "~")).expanduser() / ".kube" / "config"]


def _merged(paths: list[Path]) -> Json:
    """Merge as kubectl does: of what has one name the first counts; a file that is not there is left out."""
    merged: Json = {"current-context": "", **{key: [] for key, _ in _LISTS}}
    found = [path for path in paths if path.is_file()]
    if not found:
        raise Infrastructure(f"no kubeconfig at {':'.join(map(str, paths))}: name one by --mesh-kubeconfig")
    for path in found:
        data = _read(path)
        merged["current-context"] = merged["current-context"] or str(data.get("current-context") or "")
        for key, inner in _LISTS:
            known = {one["name"] for one in merged[key]}
            for one in data.get(key) or ():
                if one["name"] not in known:
                    merged[key].append({**one, inner: _absolute(one.get(inner) or {}, inner, path.parent)})
    return merged


def _read(path: Path) -> Json:
    try:
        data = documents.load(path.read_text(), source=str(path))
    except (OSError, UnicodeDecodeError, documents.DocumentError) as error:
        raise Infrastructure(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise Infrastructure(f"{path} is no kubeconfig")
    for key, _ in _LISTS:
        rows = data.get(key) or []
        if not isinstance(rows, list) or not all(isinstance(one, dict) and one.get("name") for one in rows):
            raise Infrastructure(f"kubeconfig {path}: {key} must be a list of named entries")
    return data


def _absolute(entry: Json, inner: str, directory: Path) -> Json:
    entry = copy.deepcopy(entry)
    for key in _FILES.get(inner, ()):
        if entry.get(key):
            entry[key] = str((directory / entry[key]).absolute())
    command = (entry.get("exec") or {}).get("command", "")
    if os.sep in command:  # a bare name is looked up on PATH
        entry["exec"]["command"] = str((directory / command).absolute())
    return entry


def _alone(config: Json, context: str) -> Json:
    """Give a kubeconfig with one context only."""
    chosen = _entry(config, "contexts", context)
    inside = chosen["context"]
    alone: Json = {"apiVersion": "v1", "kind": "Config", "current-context": context, "contexts": [chosen]}
    alone["clusters"] = [_entry(config, "clusters", inside.get("cluster", ""))]
    alone["users"] = [_entry(config, "users", inside["user"])] if inside.get("user") else []
    return alone


def _entry(config: Json, key: str, name: str) -> Any:
    for one in config[key]:
        if one["name"] == name:
            return one
    raise Infrastructure(f"the kubeconfig's {key} have no {name!r}, which its context names")


def _in_cluster(account: Path, environ: Mapping[str, str]) -> Chosen:
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Infrastructure("no kubeconfig, and KUBERNETES_SERVICE_HOST is not set: name one by --mesh-kubeconfig")
    name, server = "in-cluster", f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return Chosen(
        context=name,
        server=server,
        source=f"the pod's ServiceAccount in {account}",
        config={
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "clusters": [
                {"name": name, "cluster": {"server": server, "certificate-authority": str(account / "ca.crt")}}
            ],
            "users": [{"name": name, "user": {"tokenFile": str(account / "token")}}],
        },
    )
