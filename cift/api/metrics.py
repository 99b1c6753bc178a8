"""Prometheus metrics, summed over the workers.

`prometheus_client` does the counting: in its multiprocess mode each worker maps a file, and whoever is asked adds them up.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger("cift.api")
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_FILES = ("counter", "histogram", "gauge_livesum")
_RESERVED = 128 << 10
"""Bytes of each file, more than all routes with all their answers take."""


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


class Metrics:
    """A worker's counters, in a folder that the workers of one service share."""

    def __init__(self, folder: Path) -> None:
        family = folder / str(os.getpgrp())  # the supervisor's and its workers', however they were started
        if folder.is_dir():
            for old in folder.iterdir():
                if old.name != family.name and not _lives(int(old.name)):
                    shutil.rmtree(old, ignore_errors=True)
        family.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(family)
        self._folder, self._counts = family, True
        self._reserve()
        os.register_at_fork(after_in_child=self._renew)
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "cift_requests", "HTTP requests by route and status", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "cift_request_seconds",
            "Time to answer",
            ["route"],
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self._registry,
        )
        self._streams = Gauge("cift_streams", "WebSocket clients", registry=self._registry, multiprocess_mode="livesum")
        self._dropped = Counter(
            "cift_streams_dropped", "WebSocket clients dropped by the server", ["reason"], registry=self._registry
        )

    def _reserve(self) -> None:
        """Take the space of this process's files: on a full disk, a page that is written for the first time ends it (SIGBUS)."""
        for name in _FILES:
            with self._file(name).open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVED)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}_{os.getpid()}.db"

    def _renew(self) -> None:
        try:
            self._reserve()
        except OSError as error:
            self._counts = False
            for name in _FILES:
                self._file(name).unlink(missing_ok=True)
            log.warning("this worker counts nothing: its metrics have no room: %s", error)

    def listens(self, more: int) -> None:
        """WebSocket clients that came (1) or went (-1)."""
        if self._counts:
            self._streams.inc(more)

    def dropped(self, reason: str) -> None:
        if self._counts:
            self._dropped.labels(reason).inc()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        if not self._counts:
            return
        key = (method if method in _METHODS else "other", route, status)
        counters = self._counters.get(key)
        if counters is None:
            counters = self._counters[key] = self._requests.labels(*key), self._seconds.labels(route)
        counters[0].inc()
        counters[1].observe(seconds)

    def text(self, matcher: dict[str, float]) -> bytes:
        """The exposition of all workers, and the matcher's figures."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        lines = [
            f"# TYPE cift_matcher_{name} {'gauge' if name in ('live_orders', 'healthy', 'sequence') else 'counter'}\n"
            f"cift_matcher_{name} {float(value):g}\n"
            for name, value in sorted(matcher.items())
        ]
        return generate_latest(registry) + "".join(lines).encode()
