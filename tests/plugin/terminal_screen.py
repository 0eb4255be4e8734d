"""A terminal's screen, as far as pytest and the live line use one: what stands on it after some output."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[DM78]|[\r\n\b]|[^\x1b\r\n\b]+")


class Screen:
    """Rows of a terminal that scrolls."""

    def __init__(self, *, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.lines = [""] * rows
        self.history: list[str] = []
        self.row = self.column = 0
        self.saved = (0, 0)

    def feed(self, text: str) -> None:
        """Write output."""
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token, repr(text[position : position + 20])
            position = token.end()
            self._take(token[0])

    @property
    def text(self) -> str:
        """What scrolled away, and what stands."""
        return "\n".join(line.rstrip() for line in [*self.history, *self.lines]).rstrip()

    def _take(self, token: str) -> None:
        if token == "\n":
            self.column = 0  # the terminal's line discipline makes a return of it, too
            self._down()
        elif token == "\x1bD":
            self._down()
        elif token == "\x1bM":
            self.row = max(self.row - 1, 0)
        elif token == "\r":
            self.column = 0
        elif token == "\x1b7":
            self.saved = (self.row, self.column)
        elif token == "\x1b8":
            self.row, self.column = self.saved
        elif token == "\x1b[K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif token == "\x1b[J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            self.lines[self.row + 1 :] = [""] * (self.rows - self.row - 1)
        elif not token.startswith("\x1b"):
            self._write(token)

    def _write(self, text: str) -> None:
        for letter in text:
            if self.column == self.columns:
                self.column = 0
                self._down()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
            self.column += 1

    def _down(self) -> None:
        if self.row == self.rows - 1:
            self.history.append(self.lines.pop(0))
            self.lines.append("")
        else:
            self.row += 1
