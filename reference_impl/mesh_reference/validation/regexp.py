r"""Is a text a regular expression that RE2 understands? A recogniser of RE2's grammar.

It runs no expression and builds none; Python's own dialect (lookaround, back
references) is not RE2's, so `re` cannot answer. The sentences are Go's.
"""

from __future__ import annotations

import re

from mesh_reference.validation.regexp_classes import CATEGORIES, POSIX, SCRIPTS

_MAX_REPEAT = 1000
_MAX_DEPTH = 1000
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_GROUP_NAME = re.compile(r"[A-Za-z0-9_]+")
_FLAGS = re.compile(r"(?:[imsU]+(?:-[imsU]+)?|-[imsU]+)?(?=[:)])")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{2}|\{([0-9A-Fa-f]+)\}")
_NAMED_CLASS = re.compile(r"\[:\^?([^\]:]*):\]")
_CLASS_ESCAPES = frozenset("dDsSwW")
_ASSERTIONS = frozenset("AbBz")
_CONTROL = frozenset("afnrtv")


class RegexpError(ValueError):
    """The text is not RE2. ``str()`` is Go's sentence and the place, counted in characters from 1."""

    def __init__(self, what: str, where: str, at: int) -> None:
        super().__init__(f"error parsing regexp: {what}: `{where}` (at character {at + 1})")
        self.at = at


def check_regexp(pattern: str) -> None:
    """Raises `RegexpError` where RE2, as Go or as Envoy has it, would refuse the pattern."""
    _Recogniser(pattern).run()


class _Recogniser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._open: list[tuple[int, int]] = []
        """Of each open group: where it begins, and the weight of what stands before it in its parent."""
        self._weight = 1
        """How often what is innermost would be repeated: counts multiply, and the product has a limit."""

    def run(self) -> None:
        operand, repeated, repeated_at = False, "", 0
        last = 1
        while self._at < len(self._pattern):
            start = self._at
            char = self._pattern[start]
            if char in "*+?" or (char == "{" and _REPEAT.match(self._pattern, start)):
                text, count = self._repeat()
                if repeated:
                    raise RegexpError("invalid nested repetition operator", repeated + text, repeated_at)
                if not operand:
                    raise RegexpError("missing argument to repetition operator", text, start)
                last *= count
                if last > _MAX_REPEAT:
                    raise RegexpError("invalid repeat count", text, start)
                self._weight = max(self._weight, last)
                repeated, repeated_at = text, start
                continue
            repeated = ""
            element = self._one(char)
            operand, last = (operand, last) if element is None else element
        if self._open:
            raise RegexpError("missing closing )", self._pattern, self._open[-1][0])

    def _one(self, char: str) -> tuple[bool, int] | None:
        """Consumes one element; answers whether it may be repeated, and its weight; None = it adds nothing."""
        start = self._at
        if char == "(":
            return (False, 1) if self._group() else None
        if char == ")":
            if not self._open:
                raise RegexpError("unexpected )", self._pattern, start)
            inner, (_, before) = self._weight, self._open.pop()
            self._weight = max(before, inner)
            self._at += 1
            return True, inner
        if char == "|":
            self._at += 1
            return False, 1
        if char == "[":
            self._class()
        elif char == "\\":
            return (True, 1) if self._escape() else None
        else:
            self._at += 1
        return True, 1

    def _repeat(self) -> tuple[str, int]:
        """The operator with its ``?``, and how often it repeats at most: 1 where nothing is counted."""
        start, count = self._at, 1
        match = _REPEAT.match(self._pattern, start)
        if match is not None:
            low, high = int(match[1]), int(match[3]) if match[3] else -1
            if low > _MAX_REPEAT or high > _MAX_REPEAT or (match[3] and low > high):
                raise RegexpError("invalid repeat count", match[0], start)
            count = max(high if match[3] or not match[2] else low, low, 1)
            self._at = match.end()
        else:
            self._at += 1
        if self._pattern.startswith("?", self._at):
            self._at += 1
        return self._pattern[start : self._at], count

    def _group(self) -> bool:
        """Consumes what opens a group, or flags; answers whether it was a group."""
        start = self._at
        self._at += 1
        if self._pattern.startswith("?", self._at):
            rest = self._pattern[self._at + 1 :]
            for prefix in ("P<", "<"):
                if rest.startswith(prefix) and not rest.startswith(("<=", "<!")):
                    self._name(start, self._at + 1 + len(prefix))
                    break
            else:
                flags = _FLAGS.match(rest)
                if flags is None:
                    raise RegexpError("invalid or unsupported Perl syntax", self._pattern[start : start + 3], start)
                self._at += 2 + flags.end()
                if self._pattern[self._at - 1] == ")":
                    return False
        if len(self._open) >= _MAX_DEPTH:
            raise RegexpError("expression nests too deeply", self._pattern, start)
        self._open.append((start, self._weight))
        self._weight = 1
        return True

    def _name(self, start: int, name_at: int) -> None:
        match = _GROUP_NAME.match(self._pattern, name_at)
        if match is None or not self._pattern.startswith(">", match.end()):
            raise RegexpError("invalid named capture", self._pattern[start:], start)
        self._at = match.end() + 1

    def _escape(self, *, in_class: bool = False) -> bool:
        """Consumes one escape; answers whether it stands for anything: an empty quotation does not."""
        start = self._at
        if start + 1 >= len(self._pattern):
            raise RegexpError("trailing backslash at end of expression", "", start)
        char = self._pattern[start + 1]
        self._at += 2
        if char == "Q" and not in_class:
            end = self._pattern.find("\\E", self._at)
            quoted = self._pattern[self._at : end] if end >= 0 else self._pattern[self._at :]
            self._at = len(self._pattern) if end < 0 else end + 2
            return bool(quoted)
        if char in "pP":
            self._unicode_class(start)
        elif char == "x":
            self._hexadecimal(start)
        elif char in "01234567":
            self._octal(start, char)
        elif not (
            char in _CLASS_ESCAPES
            or char in _CONTROL
            or (char in _ASSERTIONS and not in_class)
            or (char.isascii() and not char.isalnum())
        ):
            raise RegexpError("invalid escape sequence", self._pattern[start : self._at], start)
        return True

    def _octal(self, start: int, first: str) -> None:
        following = self._pattern[self._at : self._at + 1]
        if first != "0" and (not following or following not in "01234567"):
            raise RegexpError("invalid escape sequence", self._pattern[start : self._at], start)
        for _ in range(2):
            if self._at < len(self._pattern) and self._pattern[self._at] in "01234567":
                self._at += 1

    def _hexadecimal(self, start: int) -> None:
        match = _HEXADECIMAL.match(self._pattern, self._at)
        if match is None or (match[1] and int(match[1], 16) > 0x10FFFF):
            raise RegexpError("invalid escape sequence", self._pattern[start : self._at + 1], start)
        self._at = match.end()

    def _unicode_class(self, start: int) -> None:
        name = self._pattern[self._at : self._at + 1]
        self._at += 1
        if name == "{":
            end = self._pattern.find("}", self._at)
            if end < 0:
                raise RegexpError("invalid character class range", self._pattern[start:], start)
            name = self._pattern[self._at : end].removeprefix("^")
            self._at = end + 1
        if name not in CATEGORIES and name not in SCRIPTS:
            raise RegexpError("invalid character class range", self._pattern[start : self._at], start)

    def _class(self) -> None:
        start = self._at
        self._at += 1
        if self._pattern.startswith("^", self._at):
            self._at += 1
        first = True
        while True:
            if self._at >= len(self._pattern):
                raise RegexpError("missing closing ]", self._pattern[start:], start)
            if self._pattern[self._at] == "]" and not first:
                self._at += 1
                return
            first = False
            self._class_item(start)

    def _class_item(self, start: int) -> None:
        posix = _NAMED_CLASS.match(self._pattern, self._at)
        if posix:
            if posix[1] not in POSIX:
                raise RegexpError("invalid character class range", posix[0], self._at)
            self._at = posix.end()
            return
        item = self._at
        low = self._class_char(start)
        if low and self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
            self._at += 1
            if self._at >= len(self._pattern):
                raise RegexpError("missing closing ]", self._pattern[start:], start)
            high = self._class_char(start)
            if not high or low > high:
                raise RegexpError("invalid character class range", self._pattern[item : self._at], item)

    def _class_char(self, start: int) -> str:
        """Consumes one character or escape of a class; answers the character, "" for a whole class."""
        at = self._at
        char = self._pattern[at]
        if char != "\\":
            self._at += 1
            return char
        if at + 1 >= len(self._pattern):
            raise RegexpError("missing closing ]", self._pattern[start:], start)
        self._escape(in_class=True)
        text = self._pattern[at : self._at]
        if text[1] in _CLASS_ESCAPES or text[1] in "pP":
            return ""
        if text[1] == "x":
            return chr(int(text[2:].strip("{}"), 16))
        if text[1] in "01234567":
            return chr(int(text[1:], 8))
        return {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(text[1], text[1])
