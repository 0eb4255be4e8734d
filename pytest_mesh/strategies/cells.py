"""A *cell*: the http routes of one host, and near-miss requests to it. As data; how it becomes documents and requests.

It generates nothing (``routes``, ``near_misses``) and it judges nothing.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_mesh.contracts import Json, Request

FORMAT = 1
"""Version of a saved cell."""

HOST = "{host}"
"""Stands for the cell's own host in its routes and requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request of a cell. ``path`` has its query; ``authority`` may hold ``{host}``."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    authority: str = HOST

    def request(self, host: str, via: str) -> Request:
        """Give it as it is sent: to the address of ``via``, for ``host``."""
        authority = self.authority.replace(HOST, host)
        return Request(
            url=f"http://{via}{self.path}",
            method=self.method,
            headers=(("host", authority), *self.headers),
            timeout=10.0,
        )

    def __str__(self) -> str:
        headers = "".join(f" -H '{name}: {value}'" for name, value in self.headers)
        return f"{self.method} http://{self.authority}{self.path}{headers}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Routes and requests. ``http`` is the VirtualService's own list; hosts of destinations are the stage's."""

    http: tuple[Json, ...]
    requests: tuple[Sent, ...] = field(default=())

    def virtual_service(self, name: str, host: str, *, first: Json | None = None) -> Json:
        """Give the document; ``first`` is one more route, put before the cell's own."""
        http = json.loads(json.dumps(self.http).replace(HOST, host))
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": {"hosts": [host], "http": [*([first] if first else []), *http]},
        }

    @property
    def key(self) -> str:
        """A name that follows from the content."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def size(self) -> tuple[int, int, int]:
        """What a reduction makes smaller: parts of the routes, requests, characters."""
        text = json.dumps(self.to_json())
        return _parts(list(self.http)), sum(1 + len(one.headers) for one in self.requests), len(text)

    def to_json(self) -> Json:
        """Give the form in which cells are saved."""
        return {
            "format": FORMAT,
            "http": copy.deepcopy(list(self.http)),
            "requests": [
                {
                    "method": one.method,
                    "path": one.path,
                    "authority": one.authority,
                    "headers": [list(pair) for pair in one.headers],
                }
                for one in self.requests
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read what :meth:`to_json` wrote; raises ValueError for another version, or for what is no cell."""
        if data.get("format") != FORMAT:
            raise ValueError(f"format {data.get('format')!r} is another version's, this one reads {FORMAT}")
        try:
            requests = tuple(
                Sent(
                    method=one["method"],
                    path=one["path"],
                    authority=one["authority"],
                    headers=tuple((str(name), str(value)) for name, value in one["headers"]),
                )
                for one in data["requests"]
            )
            return cls(http=tuple(data["http"]), requests=requests)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no cell: {error!r}") from error


def _parts(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_parts, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_parts, value))
    return 1
