"""``dist/``: put in place whole or not at all, and ``build.json`` in it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError
from pipelines.progress import StageRecord


@contextmanager
def swapped(output: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``output`` if all goes well; until then the old one stays as it is.

    Raises:
        PipelineError: the place cannot be written, or another build is writing there.
    """
    output = output.absolute()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output.parent / f".{output.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise PipelineError(f"{output} cannot be written: {error.strerror}; --output names another folder") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PipelineError(
                f"another build is writing {output}; wait for it, or give --output another folder"
            ) from None
        for left in output.parent.glob(f".{output.name}.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{output.name}.new-", dir=output.parent))
        staged.chmod(0o755)
        try:
            yield staged
            old = staged.with_name(f".{output.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if output.exists():
                output.rename(old)
            staged.rename(output)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise PipelineError(f"{output} cannot be written: {error.strerror or error}") from None
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    finally:
        os.close(descriptor)


def stage(record: StageRecord) -> dict[str, Any]:
    """A stage's entry: ``cached`` is null where the engine does not tell which steps it ran."""
    return {
        "name": record.name,
        "seconds": record.seconds,
        "cached": record.cached,
        "steps": {"ran": record.ran, "remembered": record.remembered},
    }


def write(folder: Path, report: dict[str, Any]) -> None:
    (folder / "build.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")


def variant(folder: Path) -> str:
    """The variant that a folder's images are of; empty for none, and where nothing says."""
    try:
        return str(json.loads((folder / "build.json").read_text()).get("variant", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def table(report: dict[str, Any]) -> str:
    """The closing table."""
    lines = []
    for name, image in report["images"].items():
        if "platforms" in image:
            lines.append(f"{name}  {image['digest']}  index of {len(image['platforms'])} platforms")
        for platform, each in (image.get("platforms") or {name: image}).items():
            lines.append(
                f"{platform}  {each['digest']}  {each['uncompressed'] / 1e6:.1f} MB, {each['size'] / 1e6:.1f} MB compressed"
            )
            for layer in each["layers"]:
                lines.append(
                    f"    {layer['name']:14} {layer['digest'][:19]}  {layer['uncompressed'] / 1e6:8.2f} MB  {layer['files']} files"
                )
    return "\n".join(lines)
