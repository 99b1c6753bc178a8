"""Hand a built image to an engine on this machine: Docker, Podman or containerd; or write a file that ``docker load`` takes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from images import manifest as oci  # noqa: E402
from images import validate  # noqa: E402
from images.errors import ImageError  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from registry import layout  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from registry.layout import REF_NAME, Layout  # noqa: E402

#: The command that takes an image from standard input, by engine.
COMMANDS = {
    "docker": ("docker", "load"),
    "podman": ("podman", "load"),
    "containerd": ("ctr", "images", "import", "-"),
}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/load.py",
        description=__doc__,
        epilog="The same by hand: skopeo copy oci:dist/distroless docker-daemon:NAME:TAG; podman pull oci:dist/distroless; "
        "ctr images import FILE. Exit codes: 0 loaded, 1 not.",
    )
    parser.add_argument("layout", type=Path, help="an image in an OCI layout folder, such as dist/distroless")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", choices=sorted(COMMANDS), help="the engine, by its command on PATH")
    where.add_argument(
        "--archive", type=Path, metavar="FILE", help="write a tar that is an OCI layout and a docker archive at once"
    )
    parser.add_argument("--name", help="its name there (default: localhost/ and the name that the build gave it)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        print(_load(options))
    except (PipelineError, RegistryError, ImageError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("load: interrupted", file=sys.stderr)
        return 130
    return 0


def _load(options: argparse.Namespace) -> str:
    command = COMMANDS.get(options.into or "", ())
    if command and not shutil.which(command[0]):
        raise PipelineError(f"there is no {command[0]} on PATH; --archive FILE writes what it would be given")
    validate.validate(options.layout)
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        archive = options.archive or Path(folder) / "image.tar"
        name = _archive(options.layout, archive, options.name)
        if not command:
            return f"{archive}  {name}"
        with archive.open("rb") as file:
            done = subprocess.run(command, stdin=file, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise PipelineError(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return f"{options.into} has {name}"


def _archive(source: Path, target: Path, name: str | None) -> str:
    """The image as a tar with both index.json and manifest.json; its name there."""
    found = Layout(source)
    root = found.resolve(None)
    value = json.loads(found.manifest(root.digest).data)
    entry = next(
        e for e in json.loads((source / "index.json").read_bytes())["manifests"] if e["digest"] == str(root.digest)
    )
    given = entry.get("annotations", {}).get(REF_NAME, source.name)
    name = name or f"localhost/{given if ':' in given else given + ':latest'}"
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        staged = Path(folder)
        (staged / "blobs").mkdir()
        shutil.copytree(
            source / "blobs/sha256",
            staged / "blobs/sha256",
            copy_function=os.link if _same(source, staged) else shutil.copy2,
        )
        (staged / "oci-layout").write_bytes((source / "oci-layout").read_bytes())
        # containerd goes by its own annotation, others by the specification's.
        named = {REF_NAME: name, "io.containerd.image.name": name}
        (staged / "index.json").write_bytes(oci.index([{**root.to_json(), "annotations": named}]))
        config, *layers = (f"blobs/{each['digest'].replace(':', '/')}" for each in (value["config"], *value["layers"]))
        docker = oci.encode([{"Config": config, "RepoTags": [name], "Layers": layers}])
        layout.to_tar(Layout(staged), target)
    with tarfile.open(target, "a", format=tarfile.USTAR_FORMAT) as tar, tempfile.TemporaryFile() as file:
        info = tarfile.TarInfo("manifest.json")
        info.size, info.mode = len(docker), 0o644
        file.write(docker)
        file.seek(0)
        tar.addfile(info, file)
    return name


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


if __name__ == "__main__":
    sys.exit(main())
