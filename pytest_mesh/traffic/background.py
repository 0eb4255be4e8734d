"""Traffic that runs beside a test: draw after draw in a thread of its own, added up.

What goes wrong while it runs is raised at its end; it never retries and it does not judge.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_mesh.contracts import Counts


class Background:
    """Requests that are sent until the block ends."""

    def __init__(self, draw: Callable[[], Counts], tell: Callable[[dict[str, int]], None] = lambda _: None) -> None:
        self._draw = draw
        self._tell = tell
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Answers of workloads so far, by version."""
        with self._lock:
            return dict(self._counts)

    @property
    def failures(self) -> dict[str, int]:
        """Requests that no workload answered, by what came instead."""
        with self._lock:
            return dict(self._failures)

    @property
    def answered(self) -> int:
        """How many requests a workload answered."""
        return sum(self.counts.values())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the block runs; afterwards everything sent is counted. Raises what ended it early."""
        thread = threading.Thread(target=self._run, name="mesh-traffic", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        # One draw at least: a block that is over at once has traffic, too.
        while True:
            try:
                counts = self._draw()
                with self._lock:
                    self._counts.update(counts.counts)
                    self._failures.update(counts.failures)
                self._tell(self.counts)
            except Exception as error:  # noqa: BLE001 - raised where the block ends
                self._error = error
                return
            if self._stop.is_set():
                return
