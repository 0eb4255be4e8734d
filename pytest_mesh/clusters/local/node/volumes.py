"""A Pod's volumes as directories on the node's tmpfs, kept up to date while the Pod runs.

emptyDir, configMap, secret, downwardAPI and projected (with
serviceAccountToken). Content changes atomically behind a ``..data`` link, as a
kubelet's does, so a process never sees half of it. Every other kind of volume
is refused by ``pod_specs``; mounting is the spawner's work.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_mesh.clusters.local.node.environments import ConfigError, field_value, resource_value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pytest_mesh.contracts import Json

_DATA: Final = "..data"
DEFAULT_TOKEN_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who must be able to read a volume: the Pod's fsGroup, and the uid that all its containers share."""

    group: int | None = None
    user: int | None = None


@dataclass(slots=True)
class Token:
    """A service account token that is in a volume, and when to ask for the next one (Unix seconds)."""

    text: str
    renew_at: float


class PodVolumes:
    """The volumes of one Pod, below ``directory``.

    ``fetch`` gives a ConfigMap or Secret of the Pod's namespace by (plural,
    name), or None; ``request_token`` makes a TokenRequest from its spec.
    """

    def __init__(
        self,
        directory: Path,
        *,
        fetch: Callable[[str, str], Awaitable[Json | None]],
        request_token: Callable[[Json], Awaitable[Json]],
        allocatable: Mapping[str, str],
    ) -> None:
        self._directory = directory
        self._fetch = fetch
        self._request_token = request_token
        self._allocatable = allocatable
        self._tokens: dict[tuple[str, str], Token] = {}
        self._written: dict[str, dict[str, File]] = {}

    @property
    def renew_at(self) -> float:
        """When the first token has to be renewed; infinity without tokens."""
        return min((token.renew_at for token in self._tokens.values()), default=float("inf"))

    def path(self, name: str) -> Path:
        """Give the directory of the volume ``name``."""
        return self._directory / name

    async def update(self, pod: Json) -> None:
        """Make or refresh all volumes; ConfigError names what a volume needs and does not exist yet."""
        owner = owner_of(pod["spec"])
        for volume in pod["spec"].get("volumes") or ():
            path = self.path(volume["name"])
            if "emptyDir" in volume:
                if not path.exists():
                    path.mkdir(parents=True)
                    path.chmod(0o777)
                    if owner.group is not None:
                        os.chown(path, -1, owner.group)
                        path.chmod(0o2777)
                continue
            files = await self._files(volume, pod, owner)
            if self._written.get(volume["name"]) != files:
                write_files(path, files, owner)
                self._written[volume["name"]] = files

    def subpath(self, name: str, subpath: str) -> Path:
        """Give the place of ``subPath`` in a volume, made as a directory when it is not there; ConfigError if it escapes."""
        base = self.path(name).resolve()
        place = (base / subpath).resolve()
        if not place.is_relative_to(base):
            raise ConfigError(f"subPath {subpath!r} leaves volume {name!r}")
        if not place.exists():
            place.mkdir(parents=True, mode=0o755)
        return place

    def remove(self) -> None:
        """Remove every volume."""
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _files(self, volume: Json, pod: Json, owner: Owner) -> dict[str, File]:
        if "projected" in volume:
            mode = _mode(volume["projected"])
            files: dict[str, File] = {}
            for source in volume["projected"].get("sources") or ():
                files |= await self._projected(volume["name"], source, pod, mode, owner)
            return files
        if "configMap" in volume:
            return await self._object("configmaps", volume["configMap"], _mode(volume["configMap"]))
        if "secret" in volume:
            source = volume["secret"]
            return await self._object("secrets", {**source, "name": source["secretName"]}, _mode(source))
        return self._downward(volume["downwardAPI"], pod, _mode(volume["downwardAPI"]))

    async def _projected(self, name: str, source: Json, pod: Json, mode: int, owner: Owner) -> dict[str, File]:
        if "configMap" in source:
            return await self._object("configmaps", source["configMap"], mode)
        if "secret" in source:
            return await self._object("secrets", source["secret"], mode)
        if "downwardAPI" in source:
            return self._downward(source["downwardAPI"], pod, mode)
        wanted = source["serviceAccountToken"]
        # A token is private as soon as it is known whose it is.
        private = owner.group is not None or owner.user is not None
        token = await self._token((name, wanted["path"]), wanted, pod)
        return {wanted["path"]: File(content=token.encode(), mode=0o600 if private else mode)}

    async def _token(self, key: tuple[str, str], wanted: Json, pod: Json) -> str:
        held = self._tokens.get(key)
        if held is not None and time.time() < held.renew_at:
            return held.text
        seconds = int(wanted.get("expirationSeconds") or DEFAULT_TOKEN_SECONDS)
        spec: Json = {
            "expirationSeconds": seconds,
            "boundObjectRef": {
                "kind": "Pod",
                "apiVersion": "v1",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            },
        }
        if wanted.get("audience"):
            spec["audiences"] = [wanted["audience"]]
        answer = await self._request_token(spec)
        # At 80 % of its life, and at least once a day: the kubelet's rule.
        renewal = Token(answer["status"]["token"], time.time() + min(seconds * 0.8, 86400.0))
        self._tokens[key] = renewal
        return renewal.text

    async def _object(self, kind: str, source: Json, mode: int) -> dict[str, File]:
        found = await self._fetch(kind, source["name"])
        if found is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'{kind.removesuffix("s")} "{source["name"]}" not found')
        data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        if kind == "secrets":
            data = {key: base64.b64decode(value) for key, value in data.items()}
        else:
            data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        items = source.get("items")
        if not items:
            return {key: File(content=value, mode=mode) for key, value in data.items()}
        files = {}
        for item in items:
            if item["key"] not in data:
                if source.get("optional"):
                    continue
                raise ConfigError(f"{kind.removesuffix('s')} {source['name']} has no key {item['key']}")
            files[item["path"]] = File(content=data[item["key"]], mode=item.get("mode", mode))
        return files

    def _downward(self, source: Json, pod: Json, mode: int) -> dict[str, File]:
        files = {}
        for item in source.get("items") or ():
            if "fieldRef" in item:
                text = field_value(pod, item["fieldRef"]["fieldPath"])
            else:
                reference: dict[str, Any] = item["resourceFieldRef"]
                everyone = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
                container = next(each for each in everyone if each["name"] == reference["containerName"])
                divisor = str(reference.get("divisor") or "1")
                text = resource_value(container, reference["resource"], divisor, self._allocatable)
            files[item["path"]] = File(content=text.encode(), mode=item.get("mode", mode))
        return files


def owner_of(spec: Json) -> Owner:
    """Give the Pod's fsGroup, and the uid if all containers run as one and the same."""
    context = spec.get("securityContext") or {}
    users = {
        (container.get("securityContext") or {}).get("runAsUser", context.get("runAsUser"))
        for container in (*(spec.get("initContainers") or ()), *spec["containers"])
    }
    return Owner(group=context.get("fsGroup"), user=users.pop() if len(users) == 1 else None)


def write_files(directory: Path, files: Mapping[str, File], owner: Owner) -> None:
    """Write a volume's files so that they all change at one instant.

    They lie in a fresh ``..<time>`` directory; ``..data`` points there and is
    renamed over the old link; each top-level name is a link through ``..data``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    link = directory / _DATA
    old = directory / link.readlink() if link.is_symlink() else None
    fresh = directory / f"..{time.strftime('%Y_%m_%d_%H_%M_%S')}.{secrets.randbelow(10**9)}"
    fresh.mkdir()
    fresh.chmod(0o755)
    for name, file in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        if owner.group is not None:
            os.chown(path, -1, owner.group)
            path.chmod(file.mode | 0o440)
        elif owner.user is not None and file.mode == 0o600:
            os.chown(path, owner.user, -1)
            path.chmod(file.mode)
        else:
            path.chmod(file.mode)
    temporary = directory / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.replace(link)
    tops = {name.partition("/")[0] for name in files}
    for name in tops:
        place = directory / name
        if not place.is_symlink():
            place.symlink_to(f"{_DATA}/{name}")
    for entry in directory.iterdir():
        # A directory is not ours: another volume is mounted there.
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _mode(source: Json) -> int:
    return int(source.get("defaultMode", 0o644))
