"""Starting an image from an OCI layout: its own root, read-only, its own user and entrypoint."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import emulate, layers, limits, sandbox
from engine.errors import EngineError
from engine.graph import Container
from engine.oci import chosen_manifest, container_of
from engine.owners import home_of, user_of
from engine.process import close_on_exec
from engine.solve import Solver
from engine.steps import environment_of
from engine.store import Store
from engine.tree import EMPTY, Entry
from engine.unpack import apply_layer
from engine.userns import FORBIDDEN, write_maps

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def load(solver: Solver, layout: Path, wanted: str = "") -> tuple[Container, Entry]:
    """The container and root of a layout's image; every blob is checked against its digest.

    Of an index it is the one for the platform that is ``wanted``, or else for this machine's own.

    Raises:
        EngineError: no layout, or a damaged one.
    """

    box, manifest = described(layout, wanted)
    root = EMPTY
    try:
        with solver.store.transaction():
            for layer in manifest["layers"]:
                root = apply_layer(solver.store, root, _blob(layout, layer["digest"]))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise EngineError(f"{layout} is not an OCI image layout that can be started: {error}") from None
    return box, root


def described(layout: Path, wanted: str = "") -> tuple[Container, dict[str, Any]]:
    """The container of a layout's image, without its root, and the image's manifest; errors as :func:`load`."""
    try:
        descriptor = json.loads((layout / "index.json").read_bytes())["manifests"][0]
        manifest: dict[str, Any] = json.loads(_blob(layout, descriptor["digest"]))
        if "manifests" in manifest:
            chosen = chosen_manifest(manifest["manifests"], wanted or emulate.machine_platform())
            manifest = json.loads(_blob(layout, chosen["digest"]))
        config = json.loads(_blob(layout, manifest["config"]["digest"]))
        words = (config.get("os", "linux"), config.get("architecture", ""), config.get("variant", ""))
        platform = "/".join(str(word) for word in words if word)
        if wanted and platform != wanted:
            raise EngineError(f"{layout} holds an image for {platform}, not for {wanted}")
        return container_of(Container(platform), config, manifest), manifest
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise EngineError(f"{layout} is not an OCI image layout that can be started: {error}") from None


def _blob(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise EngineError(f"{layout}: blob {digest} does not have that digest; build the image again")
    return data


def run_image(layout: str, tmpfs: Sequence[str] = (), probe: str | None = None, platform: str = "") -> int:
    """Start an image; the exit code is its own, or the probe's. ``platform`` chooses one of an index.

    Without a probe it has the machine's network and runs until it ends or is interrupted. With one, both have a
    private network: the probe is a Python script, run by the image's own ``python3`` until it exits.
    """
    path, script = Path(layout), None
    if probe is not None:
        try:
            script = Path(probe).read_bytes()
        except OSError as error:
            raise EngineError(f"{probe}: {error.strerror}") from None
        _bring(described(path, platform)[0].platform)
        return _in_private_network(lambda: asyncio.run(_run(path, tuple(tmpfs), script, platform)))
    return asyncio.run(_run(path, tuple(tmpfs), None, platform))


def _bring(platform: str) -> None:
    """What an image's start downloads, where there is a network still."""
    if emulate.needed(platform):
        store = Store()
        try:
            emulate.emulator(store, platform)
        finally:
            store.close()


def _in_private_network(work: Any) -> int:
    """The exit code of ``work``, done in a child with a network of its own that is only loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(mapped[1])
            failed = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
            os.write(ready[1], b"0" if failed else b"1")
            if not failed and os.read(mapped[0], 1) == b"1":
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                    fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
                code = work()
        except EngineError as error:
            print(f"engine: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            code = 130
        finally:
            sys.stdout.flush()
            os._exit(code)
    try:
        if os.read(ready[0], 1) != b"1":
            raise EngineError(FORBIDDEN)
        try:
            write_maps(child)
        except OSError:
            raise EngineError(FORBIDDEN) from None
        os.write(mapped[1], b"1")
    finally:
        for descriptor in (*ready, *mapped):
            os.close(descriptor)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return os.waitstatus_to_exitcode(status)


async def _run(layout: Path, tmpfs: tuple[str, ...], script: bytes | None, platform: str = "") -> int:
    close_on_exec()
    store = Store()
    try:
        solver = Solver(store, lambda event: None)
        box, root = await asyncio.to_thread(load, solver, layout, platform)
        if emulate.needed(box.platform):
            brought = await solver.tools()
            with store.transaction():
                root = emulate.emulated(store, solver.trees, root, box.platform, brought)
        command = [*box.entrypoint, *box.default_args]
        if not command:
            raise EngineError(f"{layout}: the image names neither an entrypoint nor a command")
        spoken: list[bytes] = []
        tell: Callable[[bytes], None] = _show if script is None else spoken.append
        service = asyncio.create_task(_sandboxed(solver, box, root, command, tmpfs, b"", tell))
        if script is None:
            return (await service).exit_code or 0
        check = asyncio.create_task(_sandboxed(solver, box, root, ["python3", "-"], tmpfs, script, _show))
        await asyncio.wait({service, check}, return_when=asyncio.FIRST_COMPLETED)
        if not check.done():
            outcome = service.result()
            check.cancel()
            raise EngineError(
                f"the image ended with exit code {outcome.exit_code} before it could be probed:\n"
                + b"".join(spoken).decode(errors="replace")
            )
        code = check.result().exit_code
        if code:
            sys.stderr.write(b"".join(spoken).decode(errors="replace"))
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        return 1 if code is None else code
    finally:
        store.close()


def _show(chunk: bytes) -> None:
    sys.stdout.write(chunk.decode(errors="replace"))
    sys.stdout.flush()


async def _sandboxed(
    solver: Solver,
    box: Container,
    root: Entry,
    command: Sequence[str],
    tmpfs: tuple[str, ...],
    stdin: bytes,
    tell: Any,
) -> sandbox.Outcome:
    """A command in the image: mount points that it lacks are made in memory before the root is made read-only."""
    uid, gid, groups = user_of(solver.store, solver.trees, root, box.user)
    work = solver.store.folder()
    upper, scratch = work / "up", work / "work"
    upper.mkdir()
    scratch.mkdir()
    os.chmod(upper, root.mode)
    lower = await asyncio.to_thread(layers.laid_out, solver.store, root)
    mounts: list[sandbox.Mount] = [sandbox.Overlay("/", tuple(lower), upper, scratch)]
    mounts.append(sandbox.Data("/etc/hosts", b"127.0.0.1\tlocalhost\n::1\tlocalhost\n", 0o644))
    with suppress(OSError):
        mounts.append(sandbox.Data("/etc/resolv.conf", Path("/etc/resolv.conf").read_bytes(), 0o644))
    mounts += [sandbox.Temporary(place) for place in tmpfs]
    # The sandbox's own init is PID 1: it dies with the engine and takes all with it, which an entrypoint that changed
    # its user would not (a change of user clears the parent-death signal, prctl(2)). tini is told that it is not.
    environment = {
        "TINI_SUBREAPER": "1",
        "HOME": home_of(solver.store, solver.trees, root, uid),
        **environment_of(solver, box),
    }
    return await sandbox.run(
        await solver.tools(),
        sandbox.Command(
            list(command),
            environment,
            box.workdir or "/",
            mounts,
            uid,
            gid,
            groups,
            stdin,
            read_only=True,
            capabilities=(),
        ),
        replace(limits.from_environment(), seconds=0),
        tell,
    )
