"""Two builds of one project at once on one cache, again and again: both must be right, and no step may run twice.

A first build alone says what is right: the digests of its images, and which steps there are. Before every pair the results
of all stages are forgotten, downloads are not, so that both builds want every step at the same moment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
PLAIN = HERE / "tests/projects/plain"
_STARTED = re.compile(r"^  started  (.*)$", re.MULTILINE)
#: Seconds after which a build hangs.
PATIENCE = 900


class Build:
    """A build of a project, running, whose engine tells which steps it starts."""

    def __init__(self, project: Path, cache: Path, options: list[str]) -> None:
        self.project = project
        shutil.rmtree(project / "dist", ignore_errors=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DAGGER_")}
        environment |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(HERE)}
        words = [sys.executable, "-m", "engine", "run", "--", sys.executable, str(HERE / "pipelines/build.py")]
        self.said = (project.parent / f"{project.name}.log").open("w+")
        self.process = subprocess.Popen(
            [*words, "--project", str(project), "--no-run", "--no-scan", *options],
            env=environment,
            cwd=HERE,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
        )

    def end(self) -> tuple[dict[str, str], Counter[str], str]:
        """``(digests of its indexes, steps that it started, why it failed)``."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.said.seek(0)
        text = self.said.read()
        self.said.close()
        digests = {
            path.relative_to(self.project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.project / "dist").glob("**/index.json")
        }
        return digests, Counter(_STARTED.findall(text)), f"exit code {code}: {text[-1500:]}" if code else ""


def copies(project: Path, folder: Path) -> list[Path]:
    """Two clones of one commit of the project."""
    source = project
    if not (project / ".git").exists():
        source = folder / "source"
        shutil.copytree(project, source, ignore=shutil.ignore_patterns("dist", "__pycache__", ".dist*"))
        for words in (
            ("init", "-q"),
            ("add", "-A"),
            ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"),
        ):
            subprocess.run(["git", *words], cwd=source, check=True)
    places = [folder / "one", folder / "two"]
    for place in places:
        subprocess.run(["git", "clone", "-q", str(source), str(place)], check=True)
    return places


def forget(cache: Path) -> None:
    """Forget the results of all stages."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    words = [sys.executable, "-m", "engine", "cache"]
    told = subprocess.run([*words, "inspect", "--json"], env=environment, cwd=HERE, check=True, stdout=subprocess.PIPE)
    for stage in json.loads(told.stdout)["stages"]:
        if not stage.startswith("("):
            subprocess.run(
                [*words, "clear", "--stage", stage], env=environment, cwd=HERE, check=True, stdout=subprocess.DEVNULL
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--project", type=Path, default=PLAIN, help="default: tests/projects/plain")
    parser.add_argument("options", nargs="*", help="more options of the build, after --")
    options = parser.parse_args()
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="engine-pairs-") as name:
        folder = Path(name)
        cache = folder / "cache"
        one, two = copies(options.project.resolve(), folder)
        wanted, steps, failed = Build(one, cache, options.options).end()
        if failed or not wanted or not steps:
            print(f"the first build, alone: {failed or f'{len(wanted)} indexes, {len(steps)} steps'}")
            return 1
        print(f"alone: {len(wanted)} indexes, {steps.total()} steps", flush=True)
        for number in range(1, options.pairs + 1):
            forget(cache)
            began = time.monotonic()
            ends = [build.end() for build in [Build(place, cache, options.options) for place in (one, two)]]
            here = [failed for _, _, failed in ends if failed]
            here += ["other images than alone" for digests, _, failed in ends if not failed and digests != wanted]
            ran = ends[0][1] + ends[1][1]
            here += [
                f"ran {count} times, not {steps[step]}: {step}" for step, count in ran.items() if count > steps[step]
            ]
            here += [f"ran never: {step}" for step in steps - ran if step.startswith("[")]
            problems += [f"pair {number}: {what}" for what in here]
            print("".join(f"{what}\n" for what in here), end="")
            shares = " and ".join(str(end[1].total()) for end in ends)
            print(
                f"pair {number}: {shares} steps in {time.monotonic() - began:.1f} s, {len(here)} problems", flush=True
            )
    print(f"{options.pairs} pairs, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
