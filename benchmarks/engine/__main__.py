"""``make bench-engine``: what an empty session and a step of ``true`` cost, beside their peers in the same run.

The peer of a session is ``import dagger`` alone, which every program on the SDK pays. Where
``_EXPERIMENTAL_DAGGER_RUNNER_HOST`` names a Dagger engine and its ``dagger`` is on PATH, both run on that, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
EMPTY = """
import anyio, dagger
from dagger import dag

async def main():
    async with dagger.connection():
        await dag.version()

anyio.run(main)
"""
STEPS = """
import sys, time, anyio, dagger
from dagger import dag

async def main():
    busybox, count, mark = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    async with dagger.connection():
        box = dag.container().with_file("/bin/busybox", dag.host().file(busybox), permissions=0o755)
        box = box.with_env_variable("PATH", "/bin").with_exec(["/bin/busybox", "--install", "-s", "/bin"])
        await box.with_exec(["true"]).sync()
        began = time.monotonic()
        for number in range(count):
            await box.with_env_variable("N", f"{mark} {number}").with_exec(["true"]).sync()
        print((time.monotonic() - began) / count)

anyio.run(main)
"""


def seconds(words: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(words, cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="sessions of each kind, turn about (default: 10)")
    parser.add_argument("--steps", type=int, default=100, help="different steps in a row (default: 100)")
    parser.add_argument("--json", action="store_true", help="seconds, as JSON")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from pipelines.inputs import seed

    runs = {"embedded": [sys.executable, "-m", "engine", "run", "-q", "--"]}
    if os.environ.get("_EXPERIMENTAL_DAGGER_RUNNER_HOST") and shutil.which("dagger"):
        runs["dagger"] = ["dagger", "run", "-s"]
    kinds = {"import": [sys.executable, "-c", "import dagger"]}
    kinds |= {name: [*run, sys.executable, "-c", EMPTY] for name, run in runs.items()}
    for words in kinds.values():
        seconds(words)
    # Turn about, so that what else the machine does weighs on all alike; the least is what it costs by itself.
    took: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, words in kinds.items():
            took[name].append(seconds(words))
    figures = {f"{name} {how.__name__}": how(times) for name, times in took.items() for how in (min, statistics.median)}
    for name, run in runs.items():
        words = [*run, sys.executable, "-c", STEPS, str(seed().busybox), str(options.steps), str(time.time_ns())]
        done = subprocess.run(words, cwd=HERE, check=True, text=True, stdout=subprocess.PIPE)
        figures[f"{name} step"] = float(done.stdout)
    if options.json:
        print(json.dumps(figures))
        return 0
    print(f"{'import dagger alone':34} {figures['import min']:7.3f} s least, {figures['import median']:7.3f} s median")
    for name in runs:
        least, median = figures[f"{name} min"], figures[f"{name} median"]
        print(f"{'empty session, ' + name:34} {least:7.3f} s least, {median:7.3f} s median", end="")
        print(f"; {least - figures['import min']:+.3f} and {median - figures['import median']:+.3f} s")
        print(f"{f'step of true, {name}':34} {1000 * figures[f'{name} step']:7.1f} ms, over {options.steps}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
