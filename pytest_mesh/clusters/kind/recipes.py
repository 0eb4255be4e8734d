"""From a row of the image table to what Docker is asked to build: files, Dockerfile, content hash.

What runs by this interpreter gets its packages; another program is copied with
what the row calls readable, at the paths that they have here. It only reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Final

from pytest_mesh.clusters.kind import packages
from pytest_mesh.clusters.kind.programs import KindError
from pytest_mesh.contracts import Image
from pytest_mesh.workloads.packages import NAMES, VARIABLE

DOCKERFILE: Final = Path(__file__).with_name("Dockerfile")
_SITE: Final = "opt/mesh/python"
_COMMANDS: Final = "usr/local/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Files of an image, by their path in it (without the first slash)."""

    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    """Digests of files that need not be read."""
    python: str = ""
    """Version that the compiled parts fit; empty = there are none."""

    def digest(self) -> str:
        """Give what tells this tree from another: paths, modes and content; caches do not count."""
        whole = hashlib.sha256(self.python.encode())
        for name, path in sorted(self.files.items()):
            if not packages.compiled(name):
                content = self.known.get(name) or _digest(path)
                whole.update(f"{name}\0{_mode(path):o}\0{content}\n".encode())
        for name, text in (*sorted(self.texts.items()), *sorted(self.links.items())):
            whole.update(f"{name}\0{text}\n".encode())
        return whole.hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one image is made of.

    ``below`` is a tree that several images share and that seldom changes: an
    image of its own, on which this one is built. ``tail`` ends the Dockerfile: ENV, USER, ENTRYPOINT.
    """

    name: str
    tree: Tree
    tail: str
    below: Tree = field(default_factory=Tree)


def digest(base: str, tree: Tree, tail: str = "") -> str:
    """Give the content hash of an image on the base with id ``base``."""
    parts = (base, DOCKERFILE.read_text(), tail, tree.digest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def recipe(name: str, image: Image) -> Recipe:
    """Give the recipe of a row; raises KindError where the row is for the embedded cluster only."""
    if image.root != "/":
        raise KindError(
            f"image {name!r} has a root directory of its own ({image.root}): that is for --mesh-cluster=local; "
            "build it with Docker, load it by `kind load docker-image` and leave its row out"
        )
    if image.entrypoint[:1] == (sys.executable,):
        return _python_recipe(name, image)
    tree = _program_tree(name, image)
    return Recipe(name=name, tree=tree, tail=_tail(image.entrypoint, image, _private(tree)))


def write_context(stream: IO[bytes], tail: str, tree: Tree) -> None:
    """Write Docker's build context as a tar archive: Dockerfile and ``tree/``, owned by root, readable by all."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _add_bytes(archive, "Dockerfile", f"{DOCKERFILE.read_text()}\n{tail}".encode(), 0o644)
        _add_directory(archive, "tree")
        for directory in _directories([*tree.files, *tree.texts, *tree.links]):
            _add_directory(archive, f"tree/{directory}")
        for name, path in sorted(tree.files.items()):
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                entry = tarfile.TarInfo(f"tree/{name}")
                entry.size, entry.mtime, entry.mode = status.st_size, int(status.st_mtime), _mode(path)
                archive.addfile(entry, file)
        for name, text in sorted(tree.texts.items()):
            _add_bytes(archive, f"tree/{name}", text.encode(), 0o755)
        for name, target in sorted(tree.links.items()):
            entry = tarfile.TarInfo(f"tree/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)


def _python_recipe(name: str, image: Image) -> Recipe:
    arguments = image.entrypoint[1:]
    if "-m" not in arguments[:-1]:
        raise KindError(f"image {name!r}: its entry point is Python without -m MODULE, so what it needs is not known")
    place = arguments.index("-m")
    top = arguments[place + 1].partition(".")[0]
    alone = "-S" in arguments[:place]
    module = packages.module(top, alone=alone, beside=NAMES if alone and VARIABLE in image.env else ())
    files = {f"{_SITE}/{one}": path for one, path in module.own.items()}
    files.update(_readable([one for one in image.readable if not _of_interpreter(Path(one))]))
    scripts = {f"{_COMMANDS}/{one}": text for one, text in module.scripts.items()}
    known = {f"{_SITE}/{one}": digest for one, digest in module.known.items()}
    required = {f"{_SITE}/{one}": path for one, path in module.required.items()}
    tree = Tree(files=files, texts=scripts, python=packages.PYTHON)
    return Recipe(
        name=name,
        tree=tree,
        below=Tree(files=required, known=known, python=packages.PYTHON if required else ""),
        tail=_tail(("python3", *arguments), Image(env=_env_there(image.env), user=image.user), _private(tree)),
    )


def _env_there(env: Mapping[str, str]) -> dict[str, str]:
    """Give the environment without what points to this interpreter: in the image Python and its packages lie elsewhere."""
    there = {key: value for key, value in env.items() if key not in {"PYTHONPATH", VARIABLE}}
    if "PATH" in there:
        mine = str(Path(sys.executable).parent)
        there["PATH"] = ":".join(one for one in there["PATH"].split(":") if one != mine)
    return there


def _program_tree(name: str, image: Image) -> Tree:
    program = image.entrypoint[0] if image.entrypoint else ""
    paths = [*image.readable, *([program] if program.startswith("/") else [])]
    links = {}
    if program.startswith("/"):
        if not Path(program).is_file():
            raise KindError(f"image {name!r}: its program {program} is not there")
        command = f"{_COMMANDS}/{PurePosixPath(program).name}"
        if f"/{command}" != program:
            links[command] = program
    return Tree(files=_readable(paths), links=links)


def _readable(paths: list[str]) -> dict[str, Path]:
    """Give the files at and below paths, by their path without the first slash; links are followed."""
    files: dict[str, Path] = {}
    for one in paths:
        path = Path(one)
        if not path.exists():
            raise KindError(f"{path}, which an image needs, is not there")
        below = [path] if path.is_file() else sorted(path.rglob("*"))
        files.update({str(file).lstrip("/"): file for file in below if file.is_file()})
    return files


def _of_interpreter(path: Path) -> bool:
    """Whether a readable path is there for this interpreter or its packages, which an image has otherwise."""
    mine = [Path(sys.prefix), Path(sys.base_prefix), *(Path(one).resolve() for one in sys.path if one)]
    return any(path == one or path in one.parents for one in mine)


def _private(tree: Tree) -> tuple[str, ...]:
    """Give the directories that a base may close to other users and that hold something of the tree."""
    return tuple(f"/{one}" for one in _directories(tree.files) if one.partition("/")[0] in {"root", "home"})


def _tail(entrypoint: tuple[str, ...], image: Image, private: tuple[str, ...]) -> str:
    lines = [f'RUN ["chmod", "a+rx", {", ".join(map(json.dumps, private))}]'] if private else []
    for key, value in sorted(image.env.items()):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'ENV {key}="{quoted}"')
    lines.append(f"USER {image.user or '0:0'}")
    if entrypoint:
        lines.append(f"ENTRYPOINT {json.dumps(list(entrypoint))}")
    return "\n".join(lines) + "\n"


def _directories(names: Mapping[str, object] | list[str]) -> list[str]:
    found = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    return sorted(found - {"."})


def _add_directory(archive: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o111 else 0o644


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
