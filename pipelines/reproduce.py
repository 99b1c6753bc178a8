"""Build two clones of the commit in different circumstances and compare every digest: ``make reproduce``.

The clones lie in folders of different depth and have empty caches; the second has another time zone, language, umask
and time of day, and, where this is root, an ordinary user.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from images.compare import differences  # noqa: E402

_ORDINARY = 1789
#: Seconds by which the second build's steps are ahead: another date, and still within what certificates allow.
_AHEAD = "100000"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pipelines/reproduce.py", description=__doc__)
    parser.add_argument("--platform", default="linux/amd64", help="platforms, by comma, or all (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the clones and say where they are")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="reproduce-"))
    folder.chmod(0o755)
    try:
        return _compare(folder, options.platform)
    finally:
        if options.keep:
            print(f"kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _compare(folder: Path, platform: str) -> int:
    one = _build(folder / "a", {"TZ": "UTC", "LANG": "C.UTF-8"}, 0o022, None, platform)
    user = _ORDINARY if os.geteuid() == 0 else None
    circumstances = {
        "TZ": "Asia/Kathmandu",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "tr_TR.UTF-8",
        "PIPELINES_STEP_CLOCK": _AHEAD,
    }
    other = _build(folder / "b/deeper/than/the/first", circumstances, 0o077, user, platform)
    if one is None or other is None:
        return 1
    code = 0
    for name in sorted(one):
        left, right = _digests(one[name]), _digests(other[name])
        for which, digest in left.items():
            same = digest == right.get(which)
            print(f"{name:12} {which:12} {digest}  {'the same' if same else f'DIFFERS: {right.get(which)}'}")
        if left != right:
            code = 1
            a, b = folder / "a/source/dist" / name, folder / "b/deeper/than/the/first/source/dist" / name
            print("\n".join(f"    {line}" for line in list(differences(a, b))[:40]))
    return code


def _digests(image: dict[str, Any]) -> dict[str, str]:
    """The digest of an image or an index, and those of the images in it."""
    inner = {platform: each["digest"] for platform, each in image.get("platforms", {}).items()}
    return {"index" if inner else "": image["digest"], **inner}


def _build(
    place: Path, environ: dict[str, str], umask: int, user: int | None, platform: str
) -> dict[str, dict[str, Any]] | None:
    source, cache = place / "source", place / "cache"
    place.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(HERE), str(source)], check=True)
    cache.mkdir()
    if user is not None:
        for path in (place, *place.rglob("*")):
            os.lchown(path, user, user)
    who = f"user {user}" if user is not None else "this user"
    print(f"build in {source} as {who}, umask {umask:03o}, {environ}", flush=True)
    python = _interpreter(user)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DAGGER_")}
    home = {"HOME": str(place), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        [python, "pipelines/build.py", "--engine", "embedded", "--no-run", "--no-scan", "--platform", platform],
        cwd=source,
        env={**inherited, **environ, **home, "PYTHONPATH": _packages()},
        umask=umask,
        user=user,
        group=user,
        extra_groups=[] if user is not None else None,
        check=False,
    )
    if done.returncode:
        print(f"the build in {source} failed with exit code {done.returncode}")
        return None
    images: dict[str, dict[str, Any]] = json.loads((source / "dist/build.json").read_text())["images"]
    return images


def _packages() -> str:
    """Where this interpreter's packages lie, for one that cannot see the virtual environment."""
    return os.pathsep.join(p for p in sys.path if p.endswith("-packages"))


def _interpreter(user: int | None) -> str:
    """An interpreter of the same version that the user may run."""
    if user is None:
        return sys.executable
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for candidate in (f"/usr/bin/{name}", f"/usr/local/bin/{name}", sys.executable):
        tried = (
            subprocess.run([candidate, "-c", ""], user=user, group=user, extra_groups=[], check=False)
            if (Path(candidate).exists())
            else None
        )
        if tried is not None and tried.returncode == 0:
            return candidate
    print(f"no {name} that an ordinary user may run: the second build runs as root")
    return sys.executable


if __name__ == "__main__":
    sys.exit(main())
