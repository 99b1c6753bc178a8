"""From operations to trees: each operation is solved once a session, and a step once a store."""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import download, folders, lifeline
from engine.errors import EngineError
from engine.events import Event
from engine.graph import Exec, Op
from engine.network import Network
from engine.owners import resolve_owner
from engine.patterns import Patterns, gitignore
from engine.secrets import Secrets
from engine.store import Store
from engine.threads import left_behind
from engine.tools import Tools, tools
from engine.tree import BEGINNING, EMPTY, Entry, file_entry, link_entry
from engine.trees import Trees, parts_of

if TYPE_CHECKING:
    from engine.registry import Pulled
    from engine.services import Running


@dataclass(slots=True)
class _Shared:
    """Work under way or done, and how many wait for it."""

    task: asyncio.Future[Any]
    waiting: int = 0


class Solver:
    """Solves operations against one store. Belongs to one event loop."""

    def __init__(self, store: Store, on_event: Callable[[Event], None]) -> None:
        self.store = store
        self.trees = Trees(store)
        self.secrets = Secrets(store)
        self.credentials: dict[str, tuple[str, str]] = {}
        self.on_event = on_event
        self.services: dict[str, Running] = {}
        self.network = Network(self.tools, on_event)
        self.slots = asyncio.Semaphore(max(2, os.cpu_count() or 2))
        self._tools: Tools | None = None
        self._running: dict[str, _Shared] = {}

    async def once(self, key: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of ``work`` for this key, asked for any number of times at once, worked out once.

        Failures are not kept: who asks again later, tries again. Work that nobody waits for any more is cancelled.
        """
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = _Shared(asyncio.ensure_future(work()))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        except BaseException:
            if self._running.get(key) is shared and (shared.waiting == 1 or shared.task.done()):
                del self._running[key]
                shared.task.cancel()
            raise
        finally:
            shared.waiting -= 1

    def done(self, key: str) -> None:
        """Forget the answer for a key: who asks again has it worked out again."""
        self._running.pop(key, None)

    async def tools(self) -> Tools:
        if self._tools is None:
            self._tools = await self.once("tools", self._set_up)
        assert self._tools is not None
        return self._tools

    async def _set_up(self) -> Tools:
        found = await asyncio.to_thread(tools, self.store)
        if reason := (await asyncio.to_thread(lifeline.held, found)).reason:
            text = f"steps see this machine's /proc, for one of their own is not allowed here: {reason}"
            self.on_event(Event("warning", "", "processes", text=text))
        return found

    def start_over(self) -> None:
        """Drop what this session has worked out: a part of it was found to be gone from the store, or damaged there."""
        for key, shared in list(self._running.items()):
            if shared.task.done() and key.partition(" ")[0] in ("op", "step", "pull"):
                del self._running[key]

    async def solve(self, op: Op) -> Entry:
        """The tree or file of an operation.

        Raises:
            EngineError: it cannot be made; the message says why.
        """
        entry: Entry = await self.once("op " + op.digest, lambda: self._work(op))
        return entry

    async def _work(self, op: Op) -> Entry:
        verb = getattr(self, "_" + op.verb)
        inputs = await asyncio.gather(*(self.solve(source) for source in op.inputs))
        answer: Entry = await verb(*inputs, **op.args)
        return answer

    # sources

    async def _scratch(self) -> Entry:
        return EMPTY

    async def _bytes(self, data: str, mode: int) -> Entry:
        return self.keep_bytes(data.encode("utf-8", "surrogateescape"), mode)

    def keep_bytes(self, data: bytes, mode: int = 0o644) -> Entry:
        entry = file_entry(hashlib.sha256(data).hexdigest(), len(data), mode)
        self.store.write(data, entry)
        return entry

    async def _host_directory(
        self, path: str, include: list[str], exclude: list[str], use_gitignore: bool, nonce: int
    ) -> Entry:
        folder = Path(path)
        if not folder.is_dir():
            raise EngineError(f"{path}: no such directory on the host")
        ignored = []
        for rules in sorted(folder.rglob(".gitignore"), key=lambda p: len(p.parts)) if use_gitignore else ():
            ignored += gitignore(rules.read_text(errors="replace"), rules.parent.relative_to(folder).as_posix())
        return await asyncio.to_thread(
            folders.take_in, self.store, folder, Patterns(include), Patterns([*ignored, *exclude])
        )

    async def _host_file(self, path: str, nonce: int) -> Entry:
        file = Path(path)
        if not file.is_file() or file.is_symlink():  # Dagger sends the link, which leads nowhere where it arrives.
            raise EngineError(f"{path}: no such file on the host")
        found = file.stat()
        return await asyncio.to_thread(folders.take_file, self.store, file, found)

    async def _http(self, url: str, checksum: str, mode: int, nonce: int) -> Entry:
        return await left_behind(lambda: download.http(self.store, url, checksum, mode))

    # trees

    async def _directory_of(self, root: Entry, path: str) -> Entry:
        found = self.trees.find(root, path)
        if found is None:
            raise EngineError(f"{path}: no such file or directory")
        if found.kind != "d":
            raise EngineError(f"path {path} is a file, not a directory")
        return found

    async def _file_of(self, root: Entry, path: str) -> Entry:
        if ".." in parts_raw(path):
            raise EngineError(f"{path}: path leaves the directory")
        found = self.trees.find(root, path)
        if found is None:
            raise EngineError(f"{path}: no such file or directory")
        if found.kind != "f":
            raise EngineError(f"path {path} is a directory, not a file")
        return found

    async def _put_file(
        self, root: Entry, source: Entry, path: str, mode: int | None, owner: str, name: str, into: bool
    ) -> Entry:
        """A file copied to a path, or under its own name into the folder that is there or that the path asks for."""
        entry = source if mode is None else replace(source, mode=mode & 0o7777)
        if owner:
            uid, gid = resolve_owner(self.store, self.trees, root, owner)
            entry = replace(entry, uid=uid, gid=gid)
        found = self.trees.find(root, path)
        if into or (found is not None and found.kind == "d"):
            path = f"{path}/{name}"
        self.need_folder(root, path)
        return self.trees.put(root, path, entry)

    async def _write_file(self, root: Entry, source: Entry, path: str) -> Entry:
        """A file's new content: through a link, and with the mode and owner that it had."""
        found = self.trees.locate(root, path)
        if found is None:
            self.need_folder(root, path)
            return self.trees.put(root, self.trees.aim(root, path), source)
        at, old = found
        if old.kind == "d":
            raise EngineError(f"open {path}: is a directory")
        return self.trees.put(root, at, replace(source, mode=old.mode, uid=old.uid, gid=old.gid))

    async def _put_directory(
        self,
        root: Entry,
        source: Entry,
        path: str,
        include: list[str],
        exclude: list[str],
        use_gitignore: bool,
        owner: str,
        mode: int | None,
    ) -> Entry:
        tree = await self._filter(source, include, exclude, use_gitignore)
        if owner:
            uid, gid = resolve_owner(self.store, self.trees, root, owner)
            tree = self.trees.change_all(tree, lambda entry: replace(entry, uid=uid, gid=gid))
        if mode is not None:
            tree = self.trees.change_all(
                tree, lambda entry: entry if entry.kind == "l" else replace(entry, mode=mode & 0o7777)
            )
        return self.trees.merge(root, path, tree)

    async def _filter(self, root: Entry, include: list[str], exclude: list[str], use_gitignore: bool) -> Entry:
        ignored: list[str] = []
        for path, entry in self.trees.walk(root) if use_gitignore else ():
            if entry.kind == "f" and posixpath.basename(path) == ".gitignore":
                rules = self.store.read(entry).decode(errors="replace")
                ignored += gitignore(rules, posixpath.dirname(path))
        return self.trees.filter(root, Patterns(include), Patterns([*ignored, *exclude]))

    async def _make_directory(self, root: Entry, path: str, mode: int) -> Entry:
        if posixpath.normpath(path).startswith("../"):
            raise EngineError(f"cannot create directory outside parent: {path}")
        if not parts_of(path):
            return root
        found = self.trees.find(root, path)
        if found is not None and found.kind != "d":
            raise EngineError(f"mkdir {path}: not a directory")
        self.need_folder(root, path)
        return self.trees.make_directory(root, path, mode or 0o755)

    def need_folder(self, root: Entry, path: str) -> None:
        """
        Raises:
            EngineError: a file stands where a folder above the path would have to be.
        """
        names = parts_of(path)
        for n in range(1, len(names)):
            found = self.trees.find(root, "/".join(names[:n]))
            if found is not None and found.kind != "d":
                raise EngineError(f"{path}: not a directory")

    async def _symlink(self, root: Entry, path: str, target: str) -> Entry:
        if not target or self.trees.find(root, path, follow=False) is not None:
            raise EngineError(f"symlink {target} {path}: {'file exists' if target else 'no target'}")
        self.need_folder(root, path)
        return self.trees.put(root, path, link_entry(target))

    async def _remove(self, root: Entry, paths: list[str]) -> Entry:
        for path in paths:
            for name in self.trees.glob(root, path) if any(char in path for char in "*?[") else [path]:
                root = self.trees.remove(root, name)
        return root

    async def _diff(self, lower: Entry, upper: Entry) -> Entry:
        return self.trees.diff(lower, upper)

    async def _timestamps(self, root: Entry, seconds: int) -> Entry:
        return self.trees.change_all(root, lambda entry: replace(entry, mtime=seconds * 10**9, pinned=True))

    async def _chown(self, root: Entry, path: str, owner: str) -> Entry:
        uid, gid = resolve_owner(self.store, self.trees, root if root.kind == "d" else EMPTY, owner)

        def change(entry: Entry) -> Entry:
            return replace(entry, uid=uid, gid=gid)

        if root.kind == "f":
            return change(root)
        found = self.trees.locate(root, path)
        if found is None:
            raise EngineError(f"{path}: no such file or directory")
        at, entry = found
        return self.trees.put(root, at, self.trees.change_all(entry, change))

    async def _replaced(self, file: Entry, search: str, replacement: str, every: bool, first_from: int | None) -> Entry:
        data, wanted = self.store.read(file), search.encode()
        lines = data.split(b"\n")
        start = len(b"\n".join(lines[: max((first_from or 1) - 1, 0)])) + ((first_from or 1) > 1)
        count = data.count(wanted, start)
        if not count and every:
            return file
        if not count:
            raise EngineError("search string not found")
        if count > 1 and not every and first_from is None:
            places = [m.start() for m in re.finditer(re.escape(wanted), data)]
            shown = ", ".join(_line_and_columns(data, at, len(wanted)) for at in places)
            raise EngineError(f"search string found multiple times: {shown}")
        body = data[start:].replace(wanted, replacement.encode(), -1 if every else 1)
        return replace(self.keep_bytes(data[:start] + body, file.mode), uid=file.uid, gid=file.gid)

    async def _error(self, root: Entry, message: str) -> Entry:
        raise EngineError(message)

    # steps and images

    async def step(self, step: Exec) -> dict[str, Any]:
        """What a step left: ``root``, ``mounts``, ``stdout``, ``stderr``, ``exit``."""
        from engine.steps import run_step

        answer: dict[str, Any] = await self.once("step " + step.digest, lambda: run_step(self, step))
        return answer

    async def _step_root(self, step: Exec) -> Entry:
        found: Entry = (await self.step(step))["root"]
        return found

    async def _step_mount(self, step: Exec, at: str) -> Entry:
        found: Entry = (await self.step(step))["mounts"][at]
        return found

    async def _image_root(self, file: Entry, tag: str, platform: str) -> Entry:
        from engine.oci import read_image

        root, _ = await asyncio.to_thread(read_image, self, file, tag, platform)
        return root

    async def _pulled_root(self, reference: str, platform: str) -> Entry:
        return (await self.pulled(reference, platform)).root

    async def pulled(self, reference: str, platform: str) -> Pulled:
        """An image of a registry, pulled once a session."""
        from engine.registry import pull

        image: Pulled = await self.once(
            f"pull {platform} {reference}", lambda: left_behind(lambda: pull(self, reference, platform))
        )
        return image

    async def _tarball(self, *roots: Entry, images: list[Any], docker: bool, compression: str) -> Entry:
        from engine.oci import write_tarball

        return await asyncio.to_thread(write_tarball, self, list(zip(images, roots, strict=True)), docker, compression)


def _line_and_columns(data: bytes, at: int, length: int) -> str:
    start = data.rfind(b"\n", 0, at) + 1
    return f"line {data.count(bytes([10]), 0, at) + 1} ({at - start}-{at - start + length})"


def parts_raw(path: str) -> list[str]:
    """Names of a path that climb above its start, as ``..``; none for a path that stays inside."""
    depth, out = 0, []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        depth += -1 if part == ".." else 1
        if depth < 0:
            out.append("..")
    return out


__all__ = ["BEGINNING", "Solver"]
