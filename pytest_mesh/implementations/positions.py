"""Where the keys of a TOML text stand: ``tomllib`` tells no lines. Pure.

It reads text that ``tomllib`` has taken, so it checks nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys, and indexes of lists, from the top."""

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]*")


def positions(text: str) -> dict[Path, int]:
    """Give the line (from 1) of each table, key and list element."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


def line_of(found: Mapping[Path, int], path: Path) -> int:
    """Give the line of a path, or of the nearest thing around it that stands in the text; 1 when nothing does."""
    while path and path not in found:
        path = path[:-1]
    return found.get(path, 1)


def dotted(path: Path) -> str:
    """Give a path as one writes it: ``install.ready[0]``, ``images."a/b".env``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else f'"{part}"')
    return text


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._arrays: dict[Path, int] = {}
        self.found: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        while True:
            self._skip(_SPACE)
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                start, name = self._at, self._header(2)
                index = self._arrays[name] = self._arrays.get(name, -1) + 1
                table = (*name, index)
                self._note(name, start)
                self._note(table, start)
            elif self._text[self._at] == "[":
                start = self._at
                table = self._header(1)
                self._note(table, start)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> Path:
        self._at += brackets
        name = self._key()
        self._at += brackets
        return name

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._key())
        for length in range(len(table) + 1, len(path) + 1):
            self._note(path[:length], start)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._skip(_BLANK)
            quoted = _QUOTED.match(self._text, self._at)
            bare = _BARE.match(self._text, self._at)
            match = quoted or bare
            if match is None:  # not TOML: tomllib has said so before
                return tuple(parts)
            parts.append(match[0] if quoted is None else next(iter(tomllib.loads(f"{quoted[0]} = 0"))))
            self._at = match.end()
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return tuple(parts)
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        first = self._text[self._at : self._at + 1]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline(path)
        elif not self._skip(_STRING):
            self._skip(_PLAIN)

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_SPACE)
            if self._text[self._at : self._at + 1] in {"]", ""}:
                self._at += 1
                return
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1
            self._skip(_SPACE)
            if self._text.startswith(",", self._at):
                self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_SPACE)
            if self._text[self._at : self._at + 1] in {"}", ""}:
                self._at += 1
                return
            self._pair(path)
            self._skip(_SPACE)
            if self._text.startswith(",", self._at):
                self._at += 1

    def _note(self, path: Path, at: int) -> None:
        self.found.setdefault(path, self._text.count("\n", 0, at) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Go past what matches; whether that was anything."""
        match = pattern.match(self._text, self._at)
        if match is None or match.end() == self._at:
            return False
        self._at = match.end()
        return True
