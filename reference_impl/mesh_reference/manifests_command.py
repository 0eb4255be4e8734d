"""``refmesh manifests``: prints what installs the mesh, for ``kubectl apply -f -``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import click

from mesh_reference import documents, manifests, mesh_config
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual
from mesh_reference.settings import Settings

_PLAIN = (
    "image",
    "proxyImage",
    "imagePullPolicy",
    "replicas",
    "revision",
    "namespace",
    "trustDomain",
    "enableNamespacesByDefault",
)
_PREFIXES = ("meshConfig.", "env.")
_NAMED = ("revision", "namespace")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


@click.command(
    name="manifests",
    cls=Manual,
    exit_codes={0: "printed", 2: "a --set that does not exist or has no such value"},
    examples=(
        "refmesh manifests | kubectl apply -f -",
        "refmesh manifests --set meshConfig.accessLogFile=/dev/stdout --set replicas=2 -o json",
    ),
)
@click.option("--set", "choices", multiple=True, metavar="KEY=VALUE", help="Change one thing; may be repeated.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How they are printed.",
)
def command(choices: tuple[str, ...], output: str) -> None:
    """Print the objects that install the mesh.

    Keys of --set: image, proxyImage, imagePullPolicy, replicas, revision, namespace, trustDomain,
    enableNamespacesByDefault (true: inject pods of namespaces that say nothing), meshConfig.<field> (dots go deeper, [0] into a list) and env.<VARIABLE> for istiod.
    """
    try:
        objects = manifests.objects(_installation(choices))
    except MeshError as problem:
        raise click.UsageError(str(problem)) from problem
    if output == "json":
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=2))
    else:
        click.echo(documents.dump_all(objects), nl=False)


def _installation(choices: tuple[str, ...]) -> manifests.Installation:
    plain: dict[str, str] = {}
    environment: dict[str, str] = {}
    config: dict[str, Any] = {}
    for choice in choices:
        key, equals, value = choice.partition("=")
        if not equals:
            raise click.BadParameter(f"{choice!r}: want KEY=VALUE", param_hint="--set")
        if key in _PLAIN:
            plain[key] = _checked(key, value)
        elif key.startswith("env."):
            environment[key.removeprefix("env.")] = value
        elif key.startswith("meshConfig."):
            _put(config, key.removeprefix("meshConfig.").split("."), value)
        else:
            raise click.BadParameter(_unknown(key), param_hint="--set")
    mesh_config.check_mesh_config(config, "meshConfig")
    installation = manifests.Installation(
        settings=_settings(plain),
        environment=environment,
        mesh_config=config,
        replicas=_replicas(plain),
        inject_by_default=_by_default(plain),
    )
    for field, key in (("image", "image"), ("proxy_image", "proxyImage"), ("image_pull_policy", "imagePullPolicy")):
        if key in plain:
            installation = replace(installation, **{field: plain[key]})  # type: ignore[arg-type]
    return installation


def _checked(key: str, value: str) -> str:
    """The value, when such a setting may have it."""
    wanted = ""
    if not value.strip():
        wanted = "a value; leave it away for the default"
    elif key in _NAMED and not _NAME.fullmatch(value):
        wanted = "a DNS label: lower-case letters, digits and '-', 63 at most, a letter or digit at both ends"
    elif key == "imagePullPolicy" and value not in _PULL_POLICIES:
        wanted = " or ".join((", ".join(_PULL_POLICIES[:-1]), _PULL_POLICIES[-1]))
    if wanted:
        raise click.BadParameter(f"{key}={value}: want {wanted}", param_hint="--set")
    return value


def _settings(plain: dict[str, str]) -> Settings:
    settings = Settings()
    return replace(
        settings,
        revision=plain.get("revision", settings.revision),
        root_namespace=plain.get("namespace", settings.root_namespace),
        trust_domain=plain.get("trustDomain", settings.trust_domain),
    )


def _replicas(plain: dict[str, str]) -> int:
    text = plain.get("replicas", "1")
    if not (text.isascii() and text.isdigit()):
        raise click.BadParameter(f"replicas={text}: want a whole number", param_hint="--set")
    return int(text)


def _by_default(plain: dict[str, str]) -> bool:
    word = plain.get("enableNamespacesByDefault", "false")
    if word not in {"true", "false"}:
        raise click.BadParameter(f"enableNamespacesByDefault={word}: want true or false", param_hint="--set")
    return word == "true"


def _put(config: dict[str, Any], path: list[str], value: str) -> None:
    """Sets a field of the mesh config; text is kept as text where the schema wants text."""
    for part in path[:-1]:
        name, index = _indexed(part, path)
        if index is not None:
            listed = config.setdefault(name, [])
            if not isinstance(listed, list) or index > len(listed):
                raise click.BadParameter(f"meshConfig.{'.'.join(path)}: {part} has none before it", param_hint="--set")
            if index == len(listed):
                listed.append({})
            config = listed[index]
            continue
        config = config.setdefault(part, {})
        if not isinstance(config, dict):
            raise click.BadParameter(f"meshConfig.{'.'.join(path)}: {part} is no map", param_hint="--set")
    text_only = len(path) > 1 and path[-2] in {"proxyMetadata", "matchLabels"}
    config[path[-1]] = value if text_only else _scalar(value)


def _indexed(part: str, path: list[str]) -> tuple[str, int | None]:
    """``name[0]`` is the first element of a list; gives the name and the index."""
    name, bracket, rest = part.partition("[")
    if not bracket:
        return part, None
    text = rest.removesuffix("]")
    if not (rest.endswith("]") and text.isascii() and text.isdigit()):
        raise click.BadParameter(f"meshConfig.{'.'.join(path)}: {part}: want name[0]", param_hint="--set")
    return name, int(text)


def _scalar(value: str) -> Any:
    if value in {"true", "false"}:
        return value == "true"
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else value


def _unknown(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, [*_PLAIN, *_PREFIXES], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key!r} is none of {', '.join([*_PLAIN, 'meshConfig.<field>', 'env.<VARIABLE>'])}{hint}"
