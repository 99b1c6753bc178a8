"""Build again what a provenance names: its revision, in a fresh clone of a given source."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from verification import decide

HERE = Path(__file__).resolve().parent.parent
_COMMAND = Path("pipelines/build.py")
_LINES = 20
#: Built, and built though an exception of the project has ended since.
_BUILT = (0, 3)


def digest(predicate: Mapping[str, Any], source: str, tell: Callable[[str], None] = lambda _: None) -> str:
    """The digest of the image that a rebuild gives; ``source`` is what git can clone, ``tell`` gets what the build tells.

    The revision's own pipelines build it where it brings them along, and else the ones that run here. What is known
    against the image today is another question: nothing is scanned.

    Raises:
        PipelineError: the provenance names no revision of a clean tree, or it cannot be cloned or built.
    """
    parameters = predicate.get("buildDefinition", {}).get("externalParameters", {})
    revision = decide.source_of(predicate)["revision"]
    target, platform = parameters.get("target", ""), parameters.get("platform", "linux/amd64")
    variant = parameters.get("variant", "")
    if len(revision) != 40 or not set(revision) <= set("0123456789abcdef"):
        raise PipelineError(f"the provenance names {revision or 'no revision'}: only a commit can be built again")
    if not isinstance(target, str) or not target.isalpha() or not isinstance(platform, str) or platform[:1] == "-":
        raise PipelineError(f"the provenance names no target and platform that could be built: {parameters!r}")
    if not isinstance(variant, str) or variant[:1] == "-":
        raise PipelineError(f"the provenance names no variant that could be built: {parameters!r}")
    with tempfile.TemporaryDirectory(prefix="rebuild-") as name:
        clone, out = Path(name) / "source", Path(name) / "out"
        _git("clone", "-q", "--no-checkout", "--", source, str(clone))
        _git("-C", str(clone), "-c", "advice.detachedHead=false", "checkout", "-q", revision)
        toolkit = clone if (clone / _COMMAND).exists() else HERE
        words = [sys.executable, str(toolkit / _COMMAND), "--project", str(clone), "--target", target]
        words += ["--variant", variant] if variant else []
        words += ["--platform", platform, "--output", str(out), "--no-run", "--no-scan", "--json"]
        code, lines, said = _followed(words, tell)
        if code not in _BUILT:
            told = "\n".join(lines[-_LINES:])
            raise PipelineError(f"revision {revision} could not be built again:\n{told}")
        return str(json.loads(said)["images"][target]["digest"])


def _followed(words: Sequence[str], tell: Callable[[str], None]) -> tuple[int, list[str], str]:
    """Run a command: its exit code, the lines of its standard error, told as they come, and its standard output."""
    lines = []
    with (
        tempfile.TemporaryFile("w+") as out,
        subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace") as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            tell(lines[-1])
        code = process.wait()
        out.seek(0)
        return code, lines, out.read()


def _git(*words: str) -> None:
    try:
        done = subprocess.run(["git", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        raise PipelineError("git is not installed, and a rebuild clones the source with it") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PipelineError(
            f"git {words[0] if words[0] != '-C' else 'checkout'} failed: {lines[-1] if lines else 'silently'}"
        )
