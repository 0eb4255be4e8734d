r"""Is a text a regular expression that RE2 understands? A recogniser of RE2's grammar.

It runs no expression and builds none; Python's own dialect (lookaround, back
references) is not RE2's, so `re` cannot answer. The sentences are Go's.
"""

from __future__ import annotations

import re

_MAX_REPEAT = 1000
_MAX_DEPTH = 1000
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_GROUP_NAME = re.compile(r"[A-Za-z0-9_]+")
_FLAGS = re.compile(r"(?:[imsU]+(?:-[imsU]+)?|-[imsU]+)?(?=[:)])")
_POSIX_CLASSES = frozenset(
    {
        *("alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph"),
        *("lower", "print", "punct", "space", "upper", "word", "xdigit"),
    }
)
_UNICODE_CATEGORIES = frozenset(
    {
        *("Any", "C", "Cc", "Cf", "Cn", "Co", "Cs", "L", "LC", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn"),
        *("N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So"),
        *("Z", "Zl", "Zp", "Zs"),
    }
)
_SCRIPT = re.compile(r"[A-Z][A-Za-z_]{2,}")
_CLASS_ESCAPES = frozenset("dDsSwW")
_ASSERTIONS = frozenset("AbBz")
_CONTROL = frozenset("afnrtv")


class RegexpError(ValueError):
    """The text is not RE2. ``str()`` is Go's sentence."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"error parsing regexp: {what}: `{where}`")


def check_regexp(pattern: str) -> None:
    """Raises `RegexpError` where RE2 would refuse the pattern."""
    _Recogniser(pattern).run()


class _Recogniser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._names: set[str] = set()

    def run(self) -> None:
        operand, repeated = "", ""
        while self._at < len(self._pattern):
            start = self._at
            char = self._pattern[start]
            if char in "*+?" or (char == "{" and _REPEAT.match(self._pattern, start)):
                text = self._repeat()
                if repeated:
                    raise RegexpError("invalid nested repetition operator", repeated + text)
                if not operand:
                    raise RegexpError("missing argument to repetition operator", text)
                repeated = text
                continue
            repeated = ""
            operand = self._one(char)
        if self._depth:
            raise RegexpError("missing closing )", self._pattern)

    def _one(self, char: str) -> str:
        """Consumes one element; answers it, or "" when nothing may be repeated after it."""
        start = self._at
        if char == "(":
            self._group()
            return ""
        if char == ")":
            if not self._depth:
                raise RegexpError("unexpected )", self._pattern)
            self._depth -= 1
            self._at += 1
            return ")"
        if char == "|":
            self._at += 1
            return ""
        if char == "[":
            self._class()
        elif char == "\\":
            self._escape()
        else:
            self._at += 1
        return self._pattern[start : self._at]

    def _repeat(self) -> str:
        start = self._at
        if self._pattern[start] == "{":
            match = _REPEAT.match(self._pattern, start)
            if match is None:  # the caller has looked
                raise RegexpError("invalid repeat count", self._pattern[start:])
            low, high = int(match[1]), int(match[3]) if match[3] else -1
            if low > _MAX_REPEAT or high > _MAX_REPEAT or (match[3] and low > high):
                raise RegexpError("invalid repeat count", match[0])
            self._at = match.end()
        else:
            self._at += 1
        if self._pattern.startswith("?", self._at):
            self._at += 1
        return self._pattern[start : self._at]

    def _group(self) -> None:
        start = self._at
        self._at += 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RegexpError("expression nests too deeply", self._pattern)
        if not self._pattern.startswith("?", self._at):
            return
        rest = self._pattern[self._at + 1 :]
        for prefix in ("P<", "<"):
            if rest.startswith(prefix) and not rest.startswith(("<=", "<!")):
                self._named_group(start, self._at + 1 + len(prefix))
                return
        flags = _FLAGS.match(rest)
        if flags is None or (not flags[0] and rest.startswith(")")):
            raise RegexpError("invalid or unsupported Perl syntax", self._pattern[start : start + 3])
        self._at += 1 + flags.end()
        if self._pattern[self._at] == ")":  # (?i) sets flags and groups nothing
            self._depth -= 1
        self._at += 1

    def _named_group(self, start: int, name_at: int) -> None:
        match = _GROUP_NAME.match(self._pattern, name_at)
        if match is None or not self._pattern.startswith(">", match.end()):
            raise RegexpError("invalid named capture", self._pattern[start:])
        if match[0] in self._names:
            raise RegexpError("duplicate capture group name", match[0])
        self._names.add(match[0])
        self._at = match.end() + 1

    def _escape(self, *, in_class: bool = False) -> None:
        start = self._at
        if start + 1 >= len(self._pattern):
            raise RegexpError("trailing backslash at end of expression", "")
        char = self._pattern[start + 1]
        self._at += 2
        if char == "Q" and not in_class:
            end = self._pattern.find("\\E", self._at)
            self._at = len(self._pattern) if end < 0 else end + 2
            return
        if char in "pP":
            self._unicode_class(start)
            return
        if char == "x":
            self._hexadecimal(start)
            return
        if char in _CLASS_ESCAPES or char in _CONTROL or (char in _ASSERTIONS | {"C"} and not in_class):
            return
        if char in "01234567":
            self._octal(start, char)
            return
        if char.isascii() and not char.isalnum():
            return
        raise RegexpError("invalid escape sequence", self._pattern[start : self._at])

    def _octal(self, start: int, first: str) -> None:
        following = self._pattern[self._at : self._at + 1]
        if first != "0" and (not following or following not in "01234567"):
            raise RegexpError("invalid escape sequence", self._pattern[start : self._at])
        for _ in range(2):
            if self._at < len(self._pattern) and self._pattern[self._at] in "01234567":
                self._at += 1

    def _hexadecimal(self, start: int) -> None:
        match = re.compile(r"[0-9A-Fa-f]{2}|\{([0-9A-Fa-f]+)\}").match(self._pattern, self._at)
        if match is None or (match[1] and int(match[1], 16) > 0x10FFFF):
            raise RegexpError("invalid escape sequence", self._pattern[start : self._at + 1])
        self._at = match.end()

    def _unicode_class(self, start: int) -> None:
        name = self._pattern[self._at : self._at + 1]
        self._at += 1
        if name == "{":
            end = self._pattern.find("}", self._at)
            if end < 0:
                raise RegexpError("invalid character class range", self._pattern[start:])
            name = self._pattern[self._at : end].removeprefix("^")
            self._at = end + 1
        if name not in _UNICODE_CATEGORIES and not _SCRIPT.fullmatch(name):
            raise RegexpError("invalid character class range", self._pattern[start : self._at])

    def _class(self) -> None:
        start = self._at
        self._at += 1
        if self._pattern.startswith("^", self._at):
            self._at += 1
        first = True
        while True:
            if self._at >= len(self._pattern):
                raise RegexpError("missing closing ]", self._pattern[start:])
            if self._pattern[self._at] == "]" and not first:
                self._at += 1
                return
            first = False
            self._class_item(start)

    def _class_item(self, start: int) -> None:
        posix = re.compile(r"\[:\^?([a-z]*):\]").match(self._pattern, self._at)
        if posix:
            if posix[1] not in _POSIX_CLASSES:
                raise RegexpError("invalid character class range", posix[0])
            self._at = posix.end()
            return
        low = self._class_char(start)
        if self._pattern.startswith("-", self._at) and not self._pattern.startswith("-]", self._at):
            item = self._at
            self._at += 1
            if self._at >= len(self._pattern):
                raise RegexpError("missing closing ]", self._pattern[start:])
            high = self._class_char(start)
            if low and high and low > high:
                raise RegexpError("invalid character class range", f"{low}-{high}")
            if not low or not high:
                raise RegexpError("invalid character class range", self._pattern[item - 1 : self._at])

    def _class_char(self, start: int) -> str:
        """Consumes one character or escape of a class; answers the character, "" for a whole class."""
        at = self._at
        char = self._pattern[at]
        if char != "\\":
            self._at += 1
            return char
        if at + 1 >= len(self._pattern):
            raise RegexpError("missing closing ]", self._pattern[start:])
        self._escape(in_class=True)
        text = self._pattern[at : self._at]
        if text[1] in _CLASS_ESCAPES or text[1] in "pP":
            return ""
        if text[1] == "x":
            return chr(int(text[2:].strip("{}"), 16))
        if text[1] in "01234567":
            return chr(int(text[1:], 8))
        return {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(text[1], text[1])
