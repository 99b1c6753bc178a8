"""``make torture``: kill the engine, alone or with its process group, at random moments of a build, again and again.

After each SIGKILL: no process and no mount is left within seconds, the next run ends well with the right digest, and no
temporary folder is left after it. Every other round begins with an empty store, the rest with what the kills before left.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
#: Seconds after which a run hangs.
PATIENCE = 120
#: A small real pipeline: a root from the host, steps side by side, a chain, a cache volume, a secret, a file out of it.
PROGRAM = """
import hashlib, sys, anyio, dagger
from dagger import dag

async def main():
    async with dagger.connection():
        box = dag.container().with_file("/bin/busybox", dag.host().file(sys.argv[1]), permissions=0o755)
        box = box.with_env_variable("PATH", "/bin").with_exec(["/bin/busybox", "--install", "-s", "/bin"])
        box = box.with_mounted_cache("/cache", dag.cache_volume("torture"))
        box = box.with_secret_variable("TOKEN", dag.set_secret("token", "torture-secret-value"))
        if sys.argv[2] != "-":
            box = box.with_env_variable("ROUND", sys.argv[2])
        branches = [
            box.with_exec(["sh", "-c", f"mkdir /out; for i in $(seq 60); do echo {n} $i > /out/{n}-$i; done; date > /cache/{n}"])
            for n in range(4)
        ]
        whole = box
        for n, branch in enumerate(branches):
            whole = whole.with_directory(f"/all/{n}", branch.directory("/out"))
        for n in range(4):
            whole = whole.with_exec(["sh", "-c", f"cat /all/*/* | sort > /sum{n}; rm -r /all/{n}; sleep 0.05"])
        text = await whole.with_exec(["sh", "-c", "cat /sum0 /sum1 /sum2 /sum3"]).stdout()
        print(hashlib.sha256(text.encode()).hexdigest())

anyio.run(main)
"""


def command(busybox: Path, number: str) -> list[str]:
    program = [sys.executable, "-c", PROGRAM, str(busybox), number]
    return [sys.executable, "-m", "engine", "run", "-q", "--", *program]


def leftovers(cache: Path) -> list[str]:
    """Processes and mounts that have to do with this cache."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes()
                mounts = (folder / "mountinfo").read_bytes()
                state = (folder / "stat").read_text().rpartition(") ")[2][0]
            except OSError:
                continue
            if state != "Z" and (str(cache).encode() in words or str(cache).encode() in mounts):
                found.append(f"process {folder.name}: {words.replace(bytes(1), b' ')[:120].decode(errors='replace')}")
    if str(cache) in Path("/proc/self/mountinfo").read_text():
        found.append("a mount")
    return found


def settle(cache: Path, patience: float = 5.0) -> list[str]:
    deadline = time.monotonic() + patience
    while (found := leftovers(cache)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def started(busybox: Path, cache: Path, number: str, **streams: Any) -> subprocess.Popen[str]:
    """A run in a process group of its own. A Python that is aborted shows where each of its threads stands."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(HERE), "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(command(busybox, number), env=env, cwd=HERE, start_new_session=True, text=True, **streams)


def run(busybox: Path, cache: Path, number: str) -> str:
    """What a run printed; where it failed or hung, what can be known of why."""
    running = started(busybox, cache, number, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = running.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        seen = "\n".join(group(running.pid))
        os.killpg(running.pid, signal.SIGABRT)
        _, err = running.communicate()
        return f"it hung for {PATIENCE} s\n{seen}\n{err[-12000:]}"
    return out.strip() if running.returncode == 0 else f"exit code {running.returncode}: {err[-2000:]}"


def group(leader: int) -> list[str]:
    """Where the kernel has each thread of a session's processes."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            if not folder.name.isdigit() or int((folder / "stat").read_text().rpartition(") ")[2].split()[3]) != leader:
                continue
            words = (folder / "cmdline").read_bytes().replace(bytes(1), b" ")[:100].decode(errors="replace")
            for task in (folder / "task").iterdir():
                found.append(f"{task.name} {(task / 'wchan').read_text()} {words}")
    return found


def kill_at(busybox: Path, cache: Path, number: str, seconds: float, send: Callable[[int, int], None]) -> bool:
    """Start a run and kill it after so long, or its process group; whether it was still running."""
    running = started(busybox, cache, number, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        running.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        send(running.pid, signal.SIGKILL)
        running.wait()
        return True


def torture(kills: int, seed: int, busybox: Path, say: bool = True) -> tuple[list[str], dict[str, int]]:
    """What went wrong, nothing if all is well; and kills by kind, those that met a run."""
    choice = random.Random(seed)
    problems: list[str] = []
    hits = {f"{kind} cache, {how}": 0 for kind in ("warm", "cold") for how in ("alone", "with its group")}
    base = Path(tempfile.mkdtemp(prefix="engine-torture-"))
    try:
        cold, warm = base / "cold", base / "warm"
        began = time.monotonic()
        wanted = run(busybox, warm, "-")
        whole = time.monotonic() - began
        tools = warm / "pipelines-engine/tools"
        if len(wanted) != 64:
            return [f"the first run, without a kill: {wanted}"], {}
        began = time.monotonic()
        run(busybox, warm, "first")
        whole = time.monotonic() - began
        for number in range(1, kills + 1):
            cache = warm if number % 2 else cold
            if cache is cold:
                shutil.rmtree(cold, ignore_errors=True)
                (cold / "pipelines-engine").mkdir(parents=True)
                for path in tools.iterdir():
                    if path.is_dir():
                        target = cold / "pipelines-engine/tools" / path.name
                        shutil.copytree(path, target, symlinks=True, copy_function=os.link)
            after = choice.uniform(0.25, 1.0) * whole
            how, send = ("alone", os.kill) if number % 4 < 2 else ("with its group", os.killpg)
            hits[f"{'warm' if cache is warm else 'cold'} cache, {how}"] += kill_at(
                busybox, cache, str(number), after, send
            )
            here = [f"left after the kill: {what}" for what in settle(cache)]
            answer = run(busybox, cache, str(number))
            if answer != wanted:
                here.append(f"the next run: {answer}")
            here += [f"left after the next run: {path}" for path in (cache / "pipelines-engine/tmp").glob("*")]
            secret = b"torture-secret-value"
            store = cache / "pipelines-engine"
            files = [path for path in store.rglob("*") if path.is_file() and not path.is_symlink() and number % 10 < 2]
            files = [path for path in files if store / "tools" not in path.parents]
            here += [f"the secret stands in {path}" for path in files if secret in path.read_bytes()]
            problems += [f"kill {number} (seed {seed}, after {after:.3f} s): {what}" for what in here]
            if say and (here or number % 20 == 0):
                print(
                    "\n".join(
                        [*here, f"{number} kills, {sum(hits.values())} of them within a run, {len(problems)} problems"]
                    ),
                    flush=True,
                )
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return problems, hits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="the same moments again (default: 1)")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from pipelines.inputs import seed

    began = time.monotonic()
    problems, hits = torture(options.kills, options.seed, seed().busybox)
    met = "; ".join(f"{kind}: {count}" for kind, count in hits.items())
    took = time.monotonic() - began
    print(f"{options.kills} kills in {took:.0f} s, of which met a run: {met}; {len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
