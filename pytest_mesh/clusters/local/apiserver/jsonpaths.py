"""The JSONPath of printer columns and scale subresources: fields, indexes, wildcards, simple filters. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"\.(?P<field>[^.\[\]]+(?:\\\.[^.\[\]]+)*)"
    r"|\[(?P<index>-?\d+)\]"
    r"|\[(?P<all>\*)\]"
    r"|\[['\"](?P<quoted>[^'\"]+)['\"]\]"
    r"|\[\?\(\s*@\.(?P<key>[\w.-]+)\s*==\s*['\"]?(?P<value>[^'\")]*?)['\"]?\s*\)\]"
)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[dict[str, str | None], ...]:
    steps = []
    text = path.removeprefix("{").removesuffix("}").removeprefix("$")
    text = text if text.startswith((".", "[")) else f".{text}"
    # A dot that belongs to a key (annotations) is written "\\."; it is hidden while the path is split.
    hidden = text.replace("\\.", "\0")
    position = 0
    while position < len(hidden):
        match = _STEP.match(hidden, position)
        if match is None:
            return ()
        steps.append(match.groupdict())
        position = match.end()
    return tuple(steps)


def find(obj: Any, path: str) -> list[Any]:
    """Give all values at ``path``; none for a path that cannot be read."""
    steps = _steps(path)
    values = [obj] if steps else []
    for step in steps:
        values = [inner for value in values for inner in _step(value, step)]
    return [value for value in values if value is not None]


def _step(value: Any, step: dict[str, str | None]) -> list[Any]:
    name = step["field"] or step["quoted"]
    if name == "*" or step["all"]:
        return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if name is not None:
        return [value.get(name.replace("\0", "."))] if isinstance(value, dict) else []
    if not isinstance(value, list):
        return []
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    key, wanted = str(step["key"]), step["value"]
    return [item for item in value if isinstance(item, dict) and _plain(item.get(key)) == wanted]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
