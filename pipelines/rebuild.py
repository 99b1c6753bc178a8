"""Build again what a provenance names: its revision, in a fresh clone of a given source."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from verification import decide

HERE = Path(__file__).resolve().parent.parent
_COMMAND = Path("pipelines/build.py")
_LINES = 20


def digest(predicate: Mapping[str, Any], source: str) -> str:
    """The digest of the image that a rebuild gives; ``source`` is what git can clone.

    The revision's own pipelines build it where it brings them along, and else the ones that run here.

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
        words += ["--platform", platform, "--output", str(out), "--no-run", "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n".join(done.stderr.strip().splitlines()[-_LINES:])
            raise PipelineError(f"revision {revision} could not be built again:\n{said}")
        return str(json.loads(done.stdout)["images"][target]["digest"])


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
