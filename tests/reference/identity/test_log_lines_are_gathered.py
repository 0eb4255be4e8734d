"""The control plane's log: lines of requests are written together, warnings at once, and nothing is lost or reordered."""

from __future__ import annotations

import asyncio
import io
import logging

from mesh_reference.log_lines import GatheredLines


class Writes(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


def say(handler: GatheredLines, text: str, level: int = logging.INFO) -> None:
    handler.handle(logging.LogRecord("x", level, "", 0, text, None, None))


def test_lines_of_one_moment_are_one_write_and_soon(until):
    stream = Writes()
    handler = GatheredLines(stream)

    async def run() -> None:
        for number in range(100):
            say(handler, f"line {number}")
        assert stream.count == 0
        await until(lambda: stream.count)

    asyncio.run(run())
    assert (stream.count, stream.getvalue()) == (1, "".join(f"line {number}\n" for number in range(100)))


def test_a_warning_is_written_at_once_and_what_came_before_it_first():
    stream = Writes()
    handler = GatheredLines(stream)

    async def run() -> None:
        say(handler, "before")
        say(handler, "trouble", logging.WARNING)
        assert stream.getvalue() == "before\ntrouble\n"

    asyncio.run(run())


def test_a_loop_that_ends_too_soon_loses_nothing_and_the_next_one_is_served(until):
    stream = Writes()
    handler = GatheredLines(stream)

    async def ended() -> None:
        say(handler, "first")

    async def next_one() -> None:
        say(handler, "second")
        await until(lambda: "second" in stream.getvalue())

    asyncio.run(ended())
    asyncio.run(next_one())
    say(handler, "outside")
    assert stream.getvalue() == "first\nsecond\noutside\n"
