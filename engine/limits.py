"""What a step may use: time, memory and processes, watched from outside in ``/proc`` and the same for every user.

The engine looks five times a second. For an ordinary user the kernel holds the number of processes besides
(RLIMIT_NPROC, which does not bind a root of the machine), and its out-of-memory killer takes a step before all else.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from engine.amounts import seconds_of, size_of
from engine.errors import EngineError

SECONDS, MEMORY, PROCESSES = "PIPELINES_STEP_SECONDS", "PIPELINES_STEP_MEMORY", "PIPELINES_STEP_PROCESSES"
#: Bytes that a step may say; they are kept in memory and in the store.
MOST_OUTPUT = 256 << 20
_PAUSE = 0.2
_DEFAULT_SECONDS = 6 * 3600.0
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and processes (threads count as such); 0 is no limit."""

    seconds: float
    memory: int
    processes: int


def from_environment(environment: Mapping[str, str] = os.environ) -> Limits:
    """The limits of steps, by ``PIPELINES_STEP_SECONDS``, ``_MEMORY`` (``8GB``) and ``_PROCESSES``.

    Raises:
        EngineError: one of them is not a number of its kind.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * _PAGE
    try:
        given = environment.get(SECONDS)
        seconds = (float(given) if given.replace(".", "", 1).isdigit() else seconds_of(given)) if given else None
        memory = environment.get(MEMORY)
        processes = environment.get(PROCESSES)
        return Limits(
            _DEFAULT_SECONDS if seconds is None else seconds,
            size_of(memory) if memory else machine * 4 // 5,
            int(processes) if processes else max(4096, 64 * (os.cpu_count() or 1)),
        )
    except ValueError:
        raise EngineError(f"{PROCESSES} is not a number: {environment.get(PROCESSES)!r}") from None
    except EngineError as error:
        raise EngineError(f"{SECONDS} or {MEMORY}: {error}") from None


def impose(pid: int, limits: Limits) -> None:
    """Tell the kernel what it can hold by itself, for a process that has not begun yet."""
    with suppress(OSError, ValueError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        if limits.processes:
            _, most = resource.prlimit(pid, resource.RLIMIT_NPROC)
            number = limits.processes if most == resource.RLIM_INFINITY else min(limits.processes, most)
            resource.prlimit(pid, resource.RLIMIT_NPROC, (number, number))
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("500")


async def watch(pid: int, limits: Limits) -> str:
    """Which limit the processes at and below ``pid`` went over, in words; returns only when they did."""
    while True:
        processes, memory, seen = _census(pid, limits.processes)
        if limits.processes and processes > limits.processes:
            return f"it ran more than {limits.processes} processes, its limit ({PROCESSES})"
        if limits.memory and memory > limits.memory and _exact(seen) > limits.memory:
            return f"it used more than {limits.memory / 1e9:.3g} GB of memory, its limit ({MEMORY})"
        await asyncio.sleep(_PAUSE)


def _census(pid: int, most: int) -> tuple[int, int, list[int]]:
    """``(threads, bytes that are theirs alone or counted twice, processes)``, no further than it needs to tell."""
    count, memory, todo, seen = 0, 0, [pid], []
    while todo and not (most and count > most):
        here = todo.pop()
        try:
            for thread in os.listdir(f"/proc/{here}/task"):
                count += 1
                with open(f"/proc/{here}/task/{thread}/children") as file:
                    todo += map(int, file.read().split())
            with open(f"/proc/{here}/statm") as file:
                _, resident, shared, *_ = map(int, file.read().split())
        except OSError:
            continue
        memory += (resident - shared) * _PAGE
        seen.append(here)
    return count, memory, seen


def _exact(processes: list[int]) -> int:
    """Bytes of memory of these processes, pages that several share counted once."""
    total = 0
    for pid in processes:
        with suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) * 1024
    return total
