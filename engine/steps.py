"""Running a step: its key, its mounts, its user, and what it left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from engine import clock, folders, layers, limits, outcomes, sandbox, volumes
from engine.errors import EngineError, ExecFailed
from engine.events import Event
from engine.graph import Container, Exec
from engine.network import SHARED, Place, hosts_file, resolv_conf
from engine.owners import UnknownUser, home_of, resolve_owner, user_of
from engine.secrets import Scrubber
from engine.services import beside, networked
from engine.store import remove_tree
from engine.tree import Entry
from engine.trees import parts_of
from engine.userns import owns_users

if TYPE_CHECKING:
    from engine.solve import Solver

STAGE = "PIPELINES_STAGE"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM_MOUNTS = ("/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts")
#: Words of a step that its shown name keeps.
_NAME_LENGTH = 100


async def run_step(solver: Solver, step: Exec) -> dict[str, Any]:
    """The outcome of a step: remembered, or run now.

    Raises:
        ExecFailed: it ended otherwise than was expected.
        EngineError: something it needs cannot be had, or the sandbox cannot be set up.
    """
    box = step.container
    if not step.args:
        raise EngineError("no command has been set: withExec needs arguments, or default arguments or an entrypoint")
    root = await solver.solve(box.root)
    sources: dict[str, Entry] = {}
    for mount in box.mounts:
        if mount.op is not None:
            sources[mount.at] = await solver.solve(mount.op)
    key = outcomes.key_of(solver, step, root, sources)
    stage = dict(box.env).get(STAGE, "")
    name = " ".join(step.args).replace("\n", " ")[:_NAME_LENGTH]
    if (known := outcomes.recall(solver, key, {**sources, "/": root})) is not None:
        solver.on_event(Event("cached", stage, name))
        return known
    async with solver.store.locks.awaited(key):
        if (known := outcomes.recall(solver, key, {**sources, "/": root})) is not None:
            solver.on_event(Event("cached", stage, name))
            return known
        async with volumes.turns(solver, box) as taken, beside(solver, box) as (place, hosts), solver.slots:
            solver.on_event(Event("started", stage, name))
            began = time.monotonic()
            try:
                outcome = await _run(solver, step, root, sources, place, hosts, taken, stage, name)
            except BaseException as error:
                solver.on_event(Event("failed", stage, name, time.monotonic() - began))
                if isinstance(error, OSError):
                    raise solver.store.explained(error) from None
                raise
        solver.store.remember(key, outcomes.plain(outcome, {**sources, "/": root}), stage)
        solver.on_event(Event("finished", stage, name, time.monotonic() - began))
    return outcome


def _missing_parents(solver: Solver, root: Entry, at: str) -> set[str]:
    """The paths at and above a mount point that the root lacks, and that will be made for it."""
    names, out = parts_of(at), set()
    for n in range(1, len(names) + 1):
        path = "/" + "/".join(names[:n])
        if solver.trees.find(root, path, follow=False) is None:
            out.add(path)
    return out


async def prepare(
    solver: Solver,
    box: Container,
    root: Entry,
    sources: dict[str, Entry],
    work: Path,
    place: Place,
    hosts: list[tuple[str, str]],
    taken: volumes.Turns = MappingProxyType({}),
) -> tuple[list[sandbox.Mount], dict[str, tuple[Path, Entry]], set[str]]:
    """Mounts of a step; ``{place: (upper folder, tree before)}`` of those that can change; made mount points."""
    mounts: list[sandbox.Mount] = []
    uppers: dict[str, tuple[Path, Entry]] = {}
    stubs: set[str] = set()

    def overlay(at: str, tree: Entry, lower: list[Path], number: int) -> None:
        upper, scratch = work / f"{number}/up", work / f"{number}/work"
        upper.mkdir(parents=True)
        scratch.mkdir()
        os.chmod(upper, tree.mode)
        if owns_users():
            os.chown(upper, tree.uid, tree.gid)
        uppers[at] = (upper, tree)
        mounts.append(sandbox.Overlay(at, tuple(lower), upper, scratch))

    overlay("/", root, await asyncio.to_thread(layers.laid_out, solver.store, root), 0)
    for at in _SYSTEM_MOUNTS:
        stubs |= _missing_parents(solver, root, at)
    system: list[sandbox.Mount] = [sandbox.Data("/etc/hosts", hosts_file(hosts), 0o644)]
    resolver = solver.trees.locate(root, "/etc/resolv.conf", follow=False)
    if networked(box) and (resolver is None or resolver[1].kind != "l"):
        with contextlib.suppress(OSError):
            system.append(sandbox.Data("/etc/resolv.conf", resolv_conf(place is SHARED), 0o644))
    for number, mount in enumerate(box.mounts, 1):
        owner = resolve_owner(solver.store, solver.trees, root, mount.owner) if mount.owner else None
        under = any(mount.at.startswith(other.at.rstrip("/") + "/") for other in box.mounts if other is not mount)
        if not under:
            stubs |= _missing_parents(solver, root, mount.at)
            # bubblewrap would make them for root alone.
            folders.make_folders(solver.trees, root, uppers["/"][0], posixpath.dirname(mount.at), (0, 0))
        if mount.kind == "directory":
            tree = sources[mount.at]
            if owner is not None:
                tree = solver.trees.change_all(tree, lambda e, o=owner: replace(e, uid=o[0], gid=o[1]))  # type: ignore[misc]
            lower = await asyncio.to_thread(layers.laid_out, solver.store, tree)
            if mount.read_only:
                mounts.append(sandbox.Overlay(mount.at, tuple(lower)))
            else:
                overlay(mount.at, tree, lower, number)
        elif mount.kind == "file":
            copy = work / f"{number}/file"
            copy.parent.mkdir(parents=True)
            folders.export_file(solver.store, sources[mount.at], copy)
            if owner is not None and owns_users():
                os.chown(copy, *owner)
            mounts.append(sandbox.Bind(mount.at, copy))
        elif mount.kind == "cache":
            assert mount.volume is not None
            mounts.append(sandbox.Bind(mount.at, await volumes.folder_of(solver, mount.volume, owner, taken)))
        elif mount.kind == "temp":
            mounts.append(sandbox.Temporary(mount.at, mount.size))
        elif mount.kind == "secret":
            assert mount.secret is not None
            # bubblewrap makes the file root's. For another owner it has to be readable by all of the step instead,
            # whose processes have no other way to it.
            mode = mount.mode if owner in (None, (0, 0)) else mount.mode | (mount.mode & 0o400) >> 6
            mounts.append(sandbox.Data(mount.at, solver.secrets.value(mount.secret), mode))
    return [mounts[0], *system, *mounts[1:]], uppers, stubs


async def _run(
    solver: Solver,
    step: Exec,
    root: Entry,
    sources: dict[str, Entry],
    place: Place,
    hosts: list[tuple[str, str]],
    taken: volumes.Turns,
    stage: str,
    name: str,
) -> dict[str, Any]:
    box = step.container
    values = [solver.secrets.value(s) for _, s in box.secret_env]
    values += [solver.secrets.value(m.secret) for m in box.mounts if m.secret is not None]
    try:
        uid, gid, groups = user_of(solver.store, solver.trees, root, box.user)
    except UnknownUser as error:
        raise ExecFailed(step.args, 1, "", str(error), str(error)) from None
    work = solver.store.folder()
    try:
        mounts, uppers, stubs = await prepare(solver, box, root, sources, work, place, hosts, taken)
        environment = {"HOME": home_of(solver.store, solver.trees, root, uid), **environment_of(solver, box)}
        if seconds := clock.ahead():
            library, variables = await asyncio.to_thread(clock.moved, solver.store, seconds)
            mounts.append(library)
            stubs |= _missing_parents(solver, root, clock.AT)
            environment |= variables
        workdir = box.workdir or "/"
        try:
            solver.need_folder(root, f"{workdir}/.here")
        except EngineError:
            raise ExecFailed(step.args, 1, "", f"mkdir {workdir}: not a directory") from None
        if workdir != "/" and solver.trees.find(root, workdir) is None and workdir not in sources:
            folders.make_folders(solver.trees, root, uppers["/"][0], workdir, (uid, gid))
        stdin = step.stdin.encode()
        if step.redirect_stdin:
            found = solver.trees.find(root, step.redirect_stdin)
            if found is None or found.kind != "f":
                raise ExecFailed(step.args, 1, "", "", f"open {step.redirect_stdin}: no such file")
            stdin = solver.store.read(found)

        for path in (step.redirect_stdout, step.redirect_stderr):
            at, rest = _holder(box, path)
            above = solver.trees.find(sources.get(at, root), posixpath.dirname(rest))
            found = solver.trees.find(sources.get(at, root), rest)
            if path and (above is None or above.kind != "d" or (found is not None and found.kind == "d")):
                raise ExecFailed(step.args, 1, "", "", f"open {path}: no such file")

        scrubber = Scrubber(values)
        spoken: list[bytes] = []

        def show(text: bytes) -> None:
            if text:
                spoken.append(text)
                solver.on_event(Event("output", stage, name, text=text.decode(errors="replace")))

        outcome = await sandbox.run(
            await solver.tools(),
            sandbox.Command(
                step.args,
                environment,
                workdir,
                mounts,
                uid,
                gid,
                groups,
                stdin,
                network=networked(box),
                namespace=place.namespace,
                no_init=step.no_init,
            ),
            limits.from_environment(),
            lambda chunk: show(scrubber.feed(chunk)),
        )
        show(scrubber.end())
        stdout = scrubber.whole(outcome.stdout).decode(errors="replace")
        stderr = scrubber.whole(outcome.stderr).decode(errors="replace")
        if outcome.limit:
            raise ExecFailed(step.args, 137, stdout, stderr, outcome.limit)
        code = outcome.exit_code
        if code is None:
            code, stderr = 1, _not_started(step.args[0], stderr)
        _expect(solver, step, code, stdout, stderr)
        after = await asyncio.to_thread(_gather, solver, uppers, stubs, (uid, gid))
        for mount in box.mounts:
            if mount.kind == "file":
                number = box.mounts.index(mount) + 1
                file = work / f"{number}/file"
                after[mount.at] = await asyncio.to_thread(folders.take_file, solver.store, file, file.stat())
            elif mount.at in sources and mount.at not in after:
                after[mount.at] = sources[mount.at]
        for path, text in ((step.redirect_stdout, stdout), (step.redirect_stderr, stderr)):
            if path:
                at, rest = _holder(box, path)
                old = solver.trees.find(after[at], rest)
                made = solver.keep_bytes(text.encode(), 0o600)
                made = replace(made, mode=made.mode if old is None else old.mode, uid=uid, gid=gid)
                after[at] = solver.trees.put(after[at], solver.trees.aim(after[at], rest), made)
        return {
            "root": after.pop("/"),
            "mounts": after,
            "exit": code,
            "stdout": stdout,
            "stderr": stderr,
            "combined": b"".join(spoken).decode(errors="replace"),
        }
    finally:
        asyncio.get_running_loop().run_in_executor(None, sweep, work)


def _holder(box: Container, path: str) -> tuple[str, str]:
    """The place of the tree that a path of a step lies in, the root or a directory that is mounted, and the path there."""
    places = [m.at for m in box.mounts if m.kind == "directory" and path.startswith(m.at.rstrip("/") + "/")]
    at = max(places, key=len, default="/")
    return at, path if at == "/" else path[len(at) :]


def _not_started(program: str, said: str) -> str:
    """Why a program could not be started, in the words of Go's os/exec, which a Dagger engine uses."""
    reason = said.strip().rpartition(": ")[2].lower()
    if "/" not in program and reason.startswith("no such file"):
        return f'exec: "{program}": executable file not found in $PATH\n'
    return f"fork/exec {program}: {reason}\n"


def environment_of(solver: Solver, box: Container) -> dict[str, str]:
    environment = {"PATH": DEFAULT_PATH, **dict(box.env), **dict(box.volatile)}
    for name, secret in box.secret_env:
        environment[name] = solver.secrets.value(secret).decode(errors="surrogateescape")
    return environment


def _expect(solver: Solver, step: Exec, code: int, stdout: str, stderr: str) -> None:
    # Codes above 127 are no program's answer but its end by a signal, which Dagger lets no step expect.
    good = code in {"SUCCESS": range(1), "FAILURE": range(1, 128), "ANY": range(128)}[step.expect]
    if not good:
        # What the step wrote lies on this disk until now.
        full = f"exit code: {code}, and the disk of the engine's store at {solver.store.root} is full"
        raise ExecFailed(step.args, code, stdout, stderr, full if solver.store.is_full() else "")


def _gather(
    solver: Solver, uppers: dict[str, tuple[Path, Entry]], stubs: set[str], user: tuple[int, int]
) -> dict[str, Entry]:
    after = {}
    owned = owns_users()
    for at, (upper, before) in uppers.items():
        here = {s for s in stubs} if at == "/" else set()
        owner = folders.as_found if owned else (lambda found: user)
        tree = folders.absorb(solver.store, upper, before, owner, here)
        after[at] = tree
        base = layers.known(solver.store, before) if tree.ref != before.ref else None
        if base is not None and layers.known(solver.store, tree) is None:
            layers.joined(solver.store, tree, layers.add(solver.store, upper), base)
    return after


def sweep(work: Path) -> None:
    for scratch in work.glob("*/work/work"):
        with contextlib.suppress(OSError):
            os.chmod(scratch, 0o700)
    remove_tree(work)
