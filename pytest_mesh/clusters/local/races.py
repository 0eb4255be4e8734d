"""The first of several: coroutines side by side of which one's end is the end of all, and whose errors keep their kind.

It owns what it starts; it does not retry.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator


async def first_of(*works: Coroutine[Any, Any, object], seconds: float | None = None) -> None:
    """Run coroutines until one returns, ``seconds`` at most; cancel the others, and raise what the first one raised.

    Peers that have gone are a ConnectionError, inside a task group, too.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        with lost_peers_bare():
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def lost_peers_bare() -> Iterator[None]:
    """Raise one ConnectionError in place of a task group's exception group that holds nothing else."""
    try:
        yield
    except BaseExceptionGroup as group:
        lost, others = group.split(ConnectionError)
        if lost is None or others is not None:
            raise
        raise ConnectionError(str(_first(lost))) from group


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
