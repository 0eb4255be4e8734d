"""How one run of a container is configured: identity, environment, mounts and files, as the Pod and its image say.

It makes the container's own folder with the file of its last words. It does not find
the image, and it starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_mesh.clusters.local.node import environments, pod_specs
from pytest_mesh.clusters.local.node.blueprints import Blueprint, Mount
from pytest_mesh.clusters.local.node.environments import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_mesh.clusters.local.node.parts import Parts
    from pytest_mesh.clusters.local.node.volumes import PodVolumes
    from pytest_mesh.contracts import Image, Json


class Owner(Protocol):
    """The Pod's worker, as configuring sees it."""

    pod: Json
    volumes: PodVolumes
    address: str

    async def fetch(self, kind: str, name: str) -> Json | None: ...


async def configure(spec: Json, owner: Owner, parts: Parts, image: Image, *, restarts: int) -> Blueprint:
    """Give the blueprint of a container's run, the ``restarts``-th from 0.

    The last of its mounts is the termination log. Raises ConfigError, KeyError, TypeError or ValueError for what the
    container asks for and cannot have, ApiError where the API does not say what its environment is.
    """
    pod = owner.pod
    identity = pod_specs.identity(spec, pod, parts.capabilities, image.user)
    sources = {(kind, name): await owner.fetch(kind, name) for kind, name, _ in environments.references(spec)}
    base = {
        "PATH": environments.DEFAULT_PATH,
        "HOSTNAME": pod_specs.hostname(pod),
        **image.env,
        **_service_links(pod, parts.services),
    }
    env = environments.environment(spec, pod, base=base, sources=sources, allocatable=parts.allocatable)
    own: Json = spec.get("securityContext") or {}
    directory = parts.scratch / "pods" / pod["metadata"]["uid"] / "containers" / spec["name"]
    return Blueprint(
        layer=str(directory / str(restarts)),
        root=image.root,
        readable=image.readable,
        hidden=(str(parts.directory),),
        mounts=(*_mounts(spec, owner, env), _termination_log(spec, directory)),
        files={
            "/etc/hostname": pod_specs.hostname(pod) + "\n",
            "/etc/resolv.conf": pod_specs.resolver_file(pod),
            "/etc/hosts": pod_specs.hosts_file(pod, owner.address),
        },
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        privileged=bool(own.get("privileged")),
        identity=identity,
        argv=environments.arguments(spec, image.entrypoint, env),
        env=env,
        directory=spec.get("workingDir") or "/",
        tty=bool(spec.get("tty")),
    )


def _mounts(spec: Json, owner: Owner, env: Mapping[str, str]) -> list[Mount]:
    result = []
    kinds = {volume["name"]: volume for volume in owner.pod["spec"].get("volumes") or ()}
    for mount in spec.get("volumeMounts") or ():
        name = mount["name"]
        if name not in kinds:
            raise ConfigError(f"volumeMounts name {name!r}, which is not among the Pod's volumes")
        part = mount.get("subPath") or environments.expand(mount.get("subPathExpr") or "", env)
        source = owner.volumes.subpath(name, part) if part else owner.volumes.path(name)
        read_only = bool(mount.get("readOnly")) or "emptyDir" not in kinds[name]
        result.append(Mount(source=str(source), target=mount["mountPath"], read_only=read_only))
    return result


def _termination_log(spec: Json, directory: Path) -> Mount:
    directory.mkdir(parents=True, exist_ok=True)
    message = directory / "termination-log"
    message.write_bytes(b"")
    message.chmod(0o666)
    return Mount(source=str(message), target=spec.get("terminationMessagePath") or "/dev/termination-log")


def _service_links(pod: Json, services: Mapping[tuple[str, str], Json]) -> Mapping[str, str]:
    links: dict[str, str] = {}
    namespace = pod["metadata"]["namespace"]
    everyone = pod["spec"].get("enableServiceLinks", True)
    for (where, name), service in services.items():
        address = service["spec"].get("clusterIP")
        wanted = (where, name) == ("default", "kubernetes") or (everyone and where == namespace)
        if wanted and address and address != "None":
            links |= environments.service_environment(name, address, service["spec"].get("ports") or ())
    return links
