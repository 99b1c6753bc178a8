"""Images for another processor, started without a word to the kernel: qemu-user in the place of each program.

Registered with the kernel (binfmt_misc), an emulator would be there for the whole machine, and it takes root to do so. Here
each program of the image lies elsewhere, and under its name a script starts the emulator on it: programs are found, and
start each other, by their names as ever. Libraries stay where they are.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

from engine.errors import EngineError
from engine.store import Store, digest_of
from engine.tools import Tools
from engine.tree import Entry, file_entry
from engine.trees import Trees
from images import elf

LOCK = Path(__file__).parent.parent / "bases" / "emulator.lock"
FOLDER = "/.emulated"
_NATIVE = {"x86_64": "amd64", "aarch64": "arm64"}
#: What qemu calls the processors of OCI's platforms (GOARCH), where it is not the same.
_CALLED = {"arm64": "aarch64", "386": "i386", "amd64": "x86_64"}
_START = 4096


def needed(platform: str) -> bool:
    """Whether this machine's processor cannot run a platform's programs itself."""
    architecture = platform.split("/")[1] if "/" in platform else ""
    return bool(architecture) and architecture != _NATIVE.get(os.uname().machine, os.uname().machine)


def machine_platform() -> str:
    """This machine's own."""
    return f"linux/{_NATIVE.get(os.uname().machine, os.uname().machine)}"


def emulated(store: Store, trees: Trees, root: Entry, platform: str, tools: Tools) -> Entry:
    """The root with each of its programs behind the emulator for a platform.

    Raises:
        EngineError: there is no emulator for it, or it cannot be had.
    """
    own = f"{FOLDER}/.tools"
    root = trees.put(root, f"{own}/qemu", _kept(store, emulator(store, platform)))
    root = trees.put(root, f"{own}/busybox", _kept(store, tools.root / "usr/bin/busybox"))
    for path, entry in list(trees.walk(root)):
        if (
            entry.kind == "f"
            and entry.mode & 0o111
            and not path.startswith(FOLDER[1:])
            and _is_program(store, path, entry)
        ):
            script = f'#!{own}/busybox sh\nexec {own}/qemu -0 "$0" {shlex.quote(f"{FOLDER}/{path}")} "$@"\n'.encode()
            instead = file_entry(hashlib.sha256(script).hexdigest(), len(script), entry.mode, entry.uid, entry.gid)
            store.write(script, instead)
            root = trees.put(trees.put(root, f"{FOLDER}/{path}", entry), path, instead)
    return root


def _is_program(store: Store, path: str, entry: Entry) -> bool:
    # The C library can be started too, but what looks for it means the library.
    if ".so" in path.rpartition("/")[2]:
        return False
    with store.ensure(entry).open("rb") as file:
        return elf.is_program(file.read(_START))


def _kept(store: Store, path: Path) -> Entry:
    entry = file_entry(digest_of(path), path.stat().st_size, 0o755)
    store.write(path.read_bytes(), entry)
    return entry


def emulator(store: Store, platform: str) -> Path:
    """The emulator's program, out of its locked package the first time.

    Raises:
        EngineError: there is none for the platform, or the package cannot be had.
    """
    from images.debian import deb, fetch, lock, mirror
    from images.errors import ImageError

    architecture = platform.split("/")[1]
    name = f"qemu-{_CALLED.get(architecture, architecture)}"
    try:
        locked = lock.read(LOCK)
        package = locked.package("qemu-user")
        target = store.root / "tools" / f"emulator-{package.sha256[:16]}" / name
        with store.locks.held("tools"):
            if not target.is_file():
                downloaded = fetch.fetch(package, locked, mirror.mirrors(os.environ), store.root / "tools")
                target.parent.mkdir(exist_ok=True)
                staged = store.staged()
                staged.write_bytes(deb.read_file(downloaded, f"usr/bin/{name}"))
                staged.replace(target)
        return target
    except ImageError as error:
        raise EngineError(f"an image for {platform} cannot be started on this machine: {error}") from None
