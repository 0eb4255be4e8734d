"""How generators choose: one function from a sequence to one of its elements, by Hypothesis or by a plain seeded draw.

Written against this, the same generator serves laws that Hypothesis shrinks (simplest elements come first) and the
live properties, which draw a thousand requests before anything is sent and have a reducer of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choose(Protocol):
    """Gives one element of a sequence."""

    def __call__(self, options: Sequence[T], /) -> T: ...


def seeded(random: Random) -> Choose:
    """Choose evenly."""

    def choose(options: Sequence[T], /) -> T:
        return options[random.randrange(len(options))]

    return choose


def by_hypothesis(draw: st.DrawFn) -> Choose:
    """Choose as Hypothesis draws."""

    def choose(options: Sequence[T], /) -> T:
        return options[draw(_index(len(options)))]

    return choose


def several(choose: Choose, options: Sequence[T], *, least: int, most: int) -> list[T]:
    """Give different elements, in the order in which they were chosen."""
    left, found = list(options), []
    for _ in range(min(choose(range(least, most + 1)), len(left))):
        one = choose(left)
        left = [item for item in left if item != one]
        found.append(one)
        if not left:
            break
    return found


@lru_cache(maxsize=256)
def _index(number: int) -> st.SearchStrategy[int]:
    return st.integers(0, number - 1)
