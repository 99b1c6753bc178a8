"""Asks a session every case and compares with what a real Dagger 0.21.8 engine answered, or records that.

    dagger run python tests/conformance/compare.py --record ROOT     python -m engine run -- python tests/conformance/compare.py ROOT

``ROOT`` is a folder with busybox and its applets. A case is an async function of ``cases``; an error is an answer:
the class of the error that the SDK raises.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import dagger
from dagger import dag

HERE = Path(__file__).parent
SUBJECTS = ("containers", "trees", "edges", "writes", "lookups", "runs", "beside")


@dataclass(frozen=True)
class Bench:
    """A container with a shell, and an empty folder of the host."""

    box: dagger.Container
    folder: Path


async def tried(work: Awaitable[Any]) -> Any:
    """The answer, or the class of the error that it is."""
    try:
        return await work
    except dagger.DaggerError as error:
        return {"raised": type(error).__name__}


async def answers(root: Path, only: str) -> dict[str, Any]:
    sys.path.insert(0, str(HERE))
    out: dict[str, Any] = {}
    async with dagger.connection():
        box = dag.container().with_rootfs(dag.host().directory(str(root))).with_env_variable("PATH", "/bin")
        for subject in SUBJECTS:
            module = importlib.import_module(f"cases.{subject}")
            for name, case in inspect.getmembers(module, inspect.iscoroutinefunction):
                if case.__module__ == module.__name__ and not name.startswith("_") and only in f"{subject}.{name}":
                    out[f"{subject}.{name}"] = await _asked(case, box)
    return out


async def _asked(case: Callable[[Bench], Awaitable[Any]], box: dagger.Container) -> Any:
    with tempfile.TemporaryDirectory() as folder, anyio.move_on_after(60):
        return json.loads(json.dumps(await tried(case(Bench(box, Path(folder))))))
    return "no answer in 60 s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    found = anyio.run(answers, options.root, options.only)
    file = HERE / "recorded.json"
    if options.record:
        file.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return 0
    recorded = {k: v for k, v in json.loads(file.read_text()).items() if options.only in k}
    wrong = {name for name in {**recorded, **found} if recorded.get(name, "?") != found.get(name, "?")}
    for name in sorted(wrong):
        print(f"{name}\n  Dagger: {json.dumps(recorded.get(name))}\n  engine: {json.dumps(found.get(name))}")
    print(f"{len(recorded) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
