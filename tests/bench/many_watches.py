"""Watches of a benchmark, in a process of their own: they read what comes and count the events.

Run as ``python many_watches.py URL PATH WATCHES`` with the token in TOKEN. It writes a line when all are open; for each line N
on its standard input it waits until every watch has had N events in all, and writes the lowest count.
"""

from __future__ import annotations

import os
import selectors
import sys
import time

from raw_https import Connection

EVENT = b'"type":"'
PATIENCE = 60.0
"""Seconds to wait for events that do not come."""


def main(url: str, path: str, watches: int) -> None:
    os.nice(10)  # what is measured is the server and who writes to it
    selector, counts, tails = selectors.DefaultSelector(), [0] * watches, [b""] * watches
    for index in range(watches):
        connection = Connection(url, os.environ["TOKEN"])
        connection.follow(path)
        selector.register(connection.socket, selectors.EVENT_READ, (index, connection))
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("open", flush=True)  # noqa: T201 - what the benchmark reads
    wanted, until = None, 0.0
    while True:
        for key, _ in selector.select(1.0):
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return
                wanted, until = int(line), time.monotonic() + PATIENCE
                continue
            index, connection = key.data
            data = tails[index] + connection.pieces()
            counts[index] += data.count(EVENT)
            tails[index] = data[-len(EVENT) + 1 :]
        if wanted is not None and (min(counts) >= wanted or time.monotonic() > until):
            print(min(counts), flush=True)  # noqa: T201
            wanted = None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
