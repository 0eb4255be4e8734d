"""Containers' logs on disk: what was written is what is read, whole or in part."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh.clusters.local.node import container_logs
from pytest_mesh.clusters.local.node.container_logs import RunLog

chunks = st.lists(st.binary(max_size=40) | st.just(b"x" * 20000) | st.just(b"\n"), max_size=8)


def read(path, **options):
    async def collect():
        return b"".join([chunk async for chunk in container_logs.read(path, None, **options)])

    return asyncio.run(collect())


async def write(path, written):
    log = RunLog(path)
    for chunk in written:
        log.write("stdout", chunk)
    log.close()


@settings(deadline=None, max_examples=60)
@given(chunks)
def test_everything_written_is_read_back_byte_by_byte(written):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "0.log"
        asyncio.run(write(path, written))

        assert read(path) == b"".join(written)


@settings(deadline=None, max_examples=40)
@given(chunks, st.integers(0, 5))
def test_the_tail_is_the_last_lines(written, count):
    whole = b"".join(written)
    lines = [line + b"\n" for line in whole.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    lines = [line for line in lines if line]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "0.log"
        asyncio.run(write(path, written))

        assert read(path, tail=count) == b"".join(lines[len(lines) - min(count, len(lines)) :])


def test_a_limit_cuts_and_timestamps_lead_each_line(tmp_path):
    asyncio.run(write(tmp_path / "0.log", [b"one\ntwo\n"]))

    assert read(tmp_path / "0.log", limit=5) == b"one\nt"
    first, second = read(tmp_path / "0.log", timestamps=True).decode().splitlines()
    assert first.endswith("Z one")
    assert second.endswith("Z two")


def test_lines_before_a_time_are_left_out(tmp_path):
    asyncio.run(write(tmp_path / "0.log", [b"early\n"]))

    assert read(tmp_path / "0.log", since="2020-01-01T00:00:00.000000000Z") == b"early\n"
    assert read(tmp_path / "0.log", since="2100-01-01T00:00:00.000000000Z") == b""


def test_a_follower_gets_each_line_as_it_comes_and_ends_with_the_run(tmp_path):
    async def scene():
        log = RunLog(tmp_path / "0.log")
        log.write("stdout", b"one\n")
        seen = []
        lines = container_logs.read(log.path, log, follow=True)
        seen.append(await anext(lines))
        log.write("stderr", b"two\n")
        seen.append(await anext(lines))
        log.write("stdout", b"rest")
        log.close()
        seen += [chunk async for chunk in lines]
        return seen

    assert asyncio.run(asyncio.wait_for(scene(), 5)) == [b"one\n", b"two\n", b"rest"]


def test_a_long_log_is_read_from_a_moment_on(tmp_path):
    """Whatever the moment: before the first line, between two, at one, after the last."""
    stamps = [container_logs.timestamp(second * 10**9) for second in range(1, 6001)]
    path = tmp_path / "0.log"
    path.write_text("".join(f"{stamp} stdout F line {number} {'x' * 40}\n" for number, stamp in enumerate(stamps)))

    async def first(since: str) -> bytes:
        text = b"".join([chunk async for chunk in container_logs.read(path, None, since=since)])
        return text.partition(b"\n")[0]

    for number in (0, 1, 2999, 3000, 5998, 5999):
        assert asyncio.run(first(stamps[number])).startswith(f"line {number} ".encode())
        between = container_logs.timestamp((number + 1) * 10**9 - 1)
        assert asyncio.run(first(between)).startswith(f"line {number} ".encode())
    assert asyncio.run(first(container_logs.timestamp(7000 * 10**9))) == b""


def test_the_end_of_a_long_log_is_found_without_reading_the_rest(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(b"2024 stdout F line %06d\n" % number for number in range(10_000)))
    with path.open("rb") as file:
        container_logs.near_the_end(file)
        lines = file.readlines()
    assert lines[-1] == b"2024 stdout F line 009999\n"
    assert lines[0].startswith(b"2024 stdout F line ")
    assert 80 < len(lines) < 3000
