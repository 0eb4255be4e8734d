"""What is wrong with an implementation's file: where it stands, which key it is and which rule it breaks. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pytest_mesh.contracts import Implementation, Json

About = Literal["file", "machine", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. As text it is ``FILE:LINE: KEY: RULE``."""

    file: str
    line: int
    key: str
    rule: str
    about: About = "file"
    """What must change: the file, or perhaps this machine (a program, a variable) or the cluster."""

    @classmethod
    def at(cls, implementation: Implementation, key: str, rule: str, about: About = "file") -> Finding:
        """Make one about a key of a file that has been read."""
        return cls(file=implementation.source, line=implementation.line_of(key), key=key, rule=rule, about=about)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.rule}" if self.key else f"{place}: {self.rule}"

    def to_json(self) -> Json:
        """Give it as plain data."""
        return asdict(self)


class ImplementationError(ValueError):
    """A file that does not say what an implementation's file must; one line per finding."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> ImplementationError:
        """Make one of findings."""
        return cls("\n".join(map(str, findings)), findings)


class UnreadableError(ImplementationError):
    """A file that cannot be read, or is no TOML; one line that names the file and the place."""
