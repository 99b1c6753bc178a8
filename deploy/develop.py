"""The service on this host, reloaded as its code changes: ``make dev``.

A change under rust_core/ builds the core anew and installs it: by maturin with the host's own Rust where there is one (a debug build), and else by
the pipeline's Rust root (the wheel of the image). DATABASE_URL=postgresql starts a PostgreSQL beside it, out of locked Debian packages, which goes
with it; any other DATABASE_URL is taken as it is. HOST and PORT say where it listens (127.0.0.1, 8000); CIFT_DATA keeps its journal.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

WATCHED = ("cift", "rust_core")
_SUFFIXES = {".py", ".rs", ".toml", ".lock", ".html", ".js", ".css"}
_EVERY = 0.5
CORE = HERE / "rust_core"
_PIP = (
    sys.executable,
    "-m",
    "pip",
    "install",
    "-q",
    "--disable-pip-version-check",
    "--no-deps",
    "--no-index",
    "--force-reinstall",
)
_BUILD = (
    sys.executable,
    str(HERE / "pipelines/build.py"),
    "--engine",
    "embedded",
    "--target",
    "distroless",
    "--no-run",
    "--no-scan",
)


def told(line: str) -> None:
    print(f"dev: {line}", file=sys.stderr, flush=True)


def seen() -> dict[Path, int]:
    """When each watched file was changed; looked at twice a second, since a few hundred files take a millisecond or two."""
    found = {}
    for name in WATCHED:
        for folder, below, files in os.walk(HERE / name):
            below[:] = [each for each in below if each not in ("target", "__pycache__")]
            for file in files:
                path = Path(folder, file)
                if path.suffix in _SUFFIXES and path.exists():
                    found[path] = path.stat().st_mtime_ns
    return found


def build_core(folder: Path) -> bool:
    """Build the core's wheel and install it; a failure is told and leaves the core as it was."""
    shutil.rmtree(folder, ignore_errors=True)
    if shutil.which("cargo") and shutil.which("maturin"):
        told("rust_core: maturin, with this host's Rust")
        words, wheels = (
            ["maturin", "build", "--quiet", "-m", str(CORE / "python/Cargo.toml"), "-o", str(folder)],
            folder,
        )
    else:
        told("rust_core: the pipeline's Rust root (no cargo and maturin on PATH)")
        words, wheels = [*_BUILD, "--output", str(folder)], folder / "wheels"
    if subprocess.run(words, cwd=HERE, check=False).returncode:
        told("rust_core was not built; the service goes on with the core that it has")
        return False
    return subprocess.run([*_PIP, *map(str, wheels.glob("*.whl"))], check=False).returncode == 0


@contextmanager
def database(folder: Path) -> Iterator[dict[str, str]]:
    """What the environment has to say of the database."""
    if os.environ.get("DATABASE_URL") != "postgresql":
        yield {}
        return
    from tests.parts.postgresql import Server

    server = Server(folder / "postgresql")
    server.start()
    told(f"PostgreSQL listens on 127.0.0.1:{server.port}; it goes when this ends")
    try:
        yield {"DATABASE_URL": server.url}
    finally:
        server.kill()


def main() -> int:
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dev-")))
        try:
            import cift_core  # noqa: F401
        except ImportError:
            if not build_core(folder / "core"):
                return 1
        environment = {**os.environ, **stack.enter_context(database(folder))}
        words = [sys.executable, "-m", "uvicorn", "cift.api.main:app", "--host", host, "--port", port]
        service = subprocess.Popen(words, cwd=HERE, env=environment)
        stack.callback(lambda: service.wait(15))
        stack.callback(lambda: service.terminate())
        before = seen()
        while True:
            time.sleep(_EVERY)
            now = seen()
            changed = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
            if not changed:
                continue
            before = now
            told(f"changed: {', '.join(str(path.relative_to(HERE)) for path in changed[:3])}")
            if any(path.is_relative_to(CORE) for path in changed) and not build_core(folder / "core"):
                continue
            service.terminate()
            service.wait(15)
            service = subprocess.Popen(words, cwd=HERE, env=environment)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
