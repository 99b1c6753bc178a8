"""What can be done with trees: pure functions over nodes, which come from and go to a shelf of nodes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from engine.errors import EngineError
from engine.patterns import Patterns, cleaned, compiled
from engine.tree import EMPTY, Entry, Node, directory_entry

_MOST_LINKS = 255
#: Folders in folders; no file system is that deep, and every verb is a recursion of this depth.
DEEPEST = 400


class Shelf(Protocol):
    """Where nodes are kept."""

    def node(self, ref: str) -> Node: ...

    def keep(self, ref: str, data: bytes) -> None: ...


def parts_of(path: str) -> list[str]:
    """The names of a path, cut at the root where it would leave it.

    Raises:
        EngineError: it is deeper than the verbs can follow.
    """
    names = [part for part in posixpath.normpath("/" + path).split("/") if part]
    if len(names) > DEEPEST:
        raise EngineError(f"{path[:60]}…: a path of more than {DEEPEST} folders")
    return names


class Trees:
    """The verbs. Every one returns a new root; none changes what it was given."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def node(self, entry: Entry) -> Node:
        return self._shelf.node(entry.ref)

    def directory(self, node: Node, like: Entry | None = None, mode: int = 0o755) -> Entry:
        entry, data = directory_entry(node, like, mode)
        self._shelf.keep(entry.ref, data)
        return entry

    def find(self, root: Entry, path: str, follow: bool = True) -> Entry | None:
        """The entry at a path. Links are followed inside the root; the last one only if asked."""
        found = self.locate(root, path, follow)
        return found[1] if found else None

    def locate(self, root: Entry, path: str, follow: bool = True) -> tuple[str, Entry] | None:
        """``(path without links, entry)``."""
        todo, stack, hops = parts_of(path)[::-1], [("", root)], 0
        while todo:
            name = todo.pop()
            if name == "..":
                stack = stack[:-1] or stack
                continue
            here = stack[-1][1]
            if here.kind != "d":
                return None
            entry = self.node(here).get(name)
            if entry is None:
                return None
            if entry.kind == "l" and (todo or follow):
                hops += 1
                if hops > _MOST_LINKS:
                    raise EngineError(f"{path}: too many levels of symbolic links")
                if entry.ref.startswith("/"):
                    stack = stack[:1]
                todo += [part for part in entry.ref.split("/") if part not in ("", ".")][::-1]
                continue
            stack.append((name, entry))
        return "/".join(name for name, _ in stack[1:]), stack[-1][1]

    def _edit(self, here: Entry, names: list[str], change: Callable[[Entry | None], Entry | None]) -> Entry:
        node = dict(self.node(here))
        name = names[0]
        old = node.get(name)
        if len(names) == 1:
            new = change(old)
        else:
            new = self._edit(old if old is not None and old.kind == "d" else EMPTY, names[1:], change)
        if new is None:
            node.pop(name, None)
        else:
            node[name] = new
        return self.directory(node, here)

    def _real(self, root: Entry, path: str) -> list[str]:
        """The names of a path with links in its folders followed as far as they exist."""
        names = parts_of(path)
        for n in range(len(names) - 1, 0, -1):
            found = self.locate(root, "/".join(names[:n]))
            if found is not None and found[1].kind == "d":
                return [*parts_of(found[0]), *names[n:]]
        return names

    def aim(self, root: Entry, path: str) -> str:
        """Where a write to a path lands: where the link that it ends in points to, as far as that is known."""
        for _ in range(_MOST_LINKS):
            names = self._real(root, path)
            link = self.find(root, "/".join(names), follow=False) if names else None
            if link is None or link.kind != "l":
                return "/".join(names)
            path = link.ref if link.ref.startswith("/") else "/".join([*names[:-1], link.ref])
        raise EngineError(f"{path}: too many levels of symbolic links")

    def put(self, root: Entry, path: str, entry: Entry) -> Entry:
        names = self._real(root, path)
        return self._edit(root, names, lambda old: entry) if names else entry

    def remove(self, root: Entry, path: str) -> Entry:
        names = self._real(root, path)
        if not names:
            return EMPTY
        if self.find(root, "/".join(names), follow=False) is None:
            return root
        return self._edit(root, names, lambda old: None)

    def make_directory(self, root: Entry, path: str, mode: int = 0o755) -> Entry:
        names = parts_of(self.aim(root, path))
        if not names:
            return root

        def change(old: Entry | None) -> Entry:
            return old if old is not None and old.kind == "d" else replace(EMPTY, mode=mode)

        for n in range(1, len(names)):
            if self.find(root, "/".join(names[:n])) is None:
                root = self._edit(root, names[:n], change)
        return self._edit(root, names, change)

    def merge(self, root: Entry, path: str, source: Entry) -> Entry:
        """The source's entries laid over the directory at a path; what the source has, wins."""
        found = self.locate(root, path)
        names = parts_of(found[0]) if found and found[1].kind == "d" else self._real(root, path)
        if not names:
            return self._over(root, source)
        return self._edit(root, names, lambda old: self._over(old, source))

    def _over(self, lower: Entry | None, upper: Entry) -> Entry:
        if lower is None or lower.kind != "d" or upper.kind != "d":
            return upper
        if lower.ref == upper.ref:
            return replace(upper, ref=lower.ref)
        node = dict(self.node(lower))
        for name, entry in self.node(upper).items():
            node[name] = self._over(node.get(name), entry)
        return self.directory(node, upper)

    def diff(self, lower: Entry, upper: Entry) -> Entry:
        """What the upper has that the lower has not, or has otherwise, or that was written again."""
        below, node = self.node(lower), {}
        for name, entry in self.node(upper).items():
            old = below.get(name)
            if old is not None and old.kind == entry.kind == "d":
                both = self.diff(old, entry)
                removed = self.node(old).keys() - self.node(entry).keys()
                if removed or self.node(both) or (old.mode, old.uid, old.gid) != (entry.mode, entry.uid, entry.gid):
                    node[name] = both
            elif (
                old is None
                or old.essence(name) != entry.essence(name)
                or (entry.kind == "f" and old.mtime != entry.mtime)
            ):
                node[name] = entry
        return self.directory(node, upper)

    def moved(self, made: Entry, before: Entry, now: Entry) -> Entry:
        """What was made from ``before``, as if from ``now``, which has the same content: what is still as it was
        before, times included, is as it is now."""
        if before.ref == now.ref:
            return made
        if made.ref == before.ref:
            return replace(made, ref=now.ref)
        node, old, new = dict(self.node(made)), self.node(before), self.node(now)
        for name in node.keys() & old.keys() & new.keys():
            if node[name] == old[name]:
                node[name] = new[name]
            elif node[name].kind == old[name].kind == new[name].kind == "d":
                node[name] = self.moved(node[name], old[name], new[name])
        return self.directory(node, made)

    def walk(self, root: Entry, above: str = "") -> Iterator[tuple[str, Entry]]:
        """Every path below a root, folders before what they hold, sorted by name."""
        for name, entry in sorted(self.node(root).items()):
            path = f"{above}{name}"
            yield path, entry
            if entry.kind == "d":
                yield from self.walk(entry, path + "/")

    def filter(self, root: Entry, include: Patterns, exclude: Patterns) -> Entry:
        if not include and not exclude:
            return root
        kept = self._filter(root, "", include, exclude)
        return self.directory({}, root) if kept is None else kept

    def _filter(self, here: Entry, above: str, include: Patterns, exclude: Patterns) -> Entry | None:
        node: Node = {}
        for name, entry in self.node(here).items():
            path = f"{above}{name}"
            wanted = (not include or include.match(path)) and not exclude.match(path)
            if entry.kind != "d":
                if wanted:
                    node[name] = entry
                continue
            below = self._filter(entry, path + "/", include, exclude)
            if below is not None:
                node[name] = below
            elif wanted:
                node[name] = self.directory({}, entry)
        return self.directory(node, here) if node else None

    def glob(self, root: Entry, pattern: str) -> list[str]:
        expression = compiled(cleaned(pattern))
        return [path + "/" * (entry.kind == "d") for path, entry in self.walk(root) if expression.match(path)]

    def change_all(self, entry: Entry, change: Callable[[Entry], Entry]) -> Entry:
        """The tree with a change made to every entry of it, the root included."""
        if entry.kind == "d":
            node = {name: self.change_all(child, change) for name, child in self.node(entry).items()}
            entry = self.directory(node, entry)
        return change(entry)
