"""What git knows of a change: the line of a lock that says it, and the commit that wrote the line."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Finds the line (from 1) in a file's text; 0 if it is not there.
Finder = Callable[[str], int]
_NOBODY = "0" * 40


@dataclass(frozen=True, slots=True)
class Commit:
    """``id`` is empty for a change that no commit holds yet; ``when`` is RFC 3339."""

    id: str
    when: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class Cause:
    """A line of a file, as it is in the newer image's revision, or as it was before it was removed (``gone``)."""

    file: str
    line: int
    text: str
    gone: bool
    commit: Commit | None


@dataclass(frozen=True, slots=True)
class Span:
    """A repository, and two of its revisions; "" for the working tree, or for one that it does not have."""

    root: Path
    old: str
    new: str

    def at(self, revision: str, path: str) -> str:
        """A file's text at a revision; empty if it was not there."""
        if revision:
            return git(self.root, "show", f"{revision}:./{path}")
        try:
            return (self.root / path).read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def line(self, path: str, find: Finder) -> Cause | None:
        """The line that a finder finds, and who wrote it: by blame, which also tells of what is not committed."""
        text = self.at(self.new, path)
        if number := find(text):
            blamed = git(
                self.root,
                "blame",
                "--porcelain",
                "-L",
                f"{number},{number}",
                *([self.new] if self.new else []),
                "--",
                path,
            )
            found = blamed.split(maxsplit=1)[0].lstrip("^") if blamed else ""
            commit = self.commit(found) if found and found != _NOBODY else Commit("", "", "", "not committed yet")
            return Cause(path, number, text.splitlines()[number - 1], False, commit if found else None)
        before = self.at(self.old, path) if self.old else ""
        if number := find(before):
            line = before.splitlines()[number - 1]
            return Cause(path, number, line, True, self._last("-S", line, "--", path))
        return None

    def commits(self, *paths: str) -> tuple[Commit, ...]:
        """The commits between the two that touch paths, the newest first; one without an id for what is not committed."""
        found = []
        if not self.new and git(self.root, "status", "--porcelain", "--", *paths).strip():
            found.append(Commit("", "", "", "not committed yet"))
        if self.old:
            listed = git(self.root, "log", "--format=%H", f"{self.old}..{self.new or 'HEAD'}", "--", *paths)
            found += [self.commit(each) for each in listed.split()]
        return tuple(found)

    def commit(self, name: str) -> Commit:
        said = git(self.root, "log", "-1", "--format=%H%x00%cI%x00%an%x00%s", name).strip("\n").split("\0")
        return Commit(*said) if len(said) == 4 else Commit(name, "", "", "")

    def _last(self, *words: str) -> Commit | None:
        found = git(self.root, "log", "-1", "--format=%H", *([self.new] if self.new else []), *words).strip()
        return self.commit(found) if found else None


def known(root: Path, revision: str) -> str:
    """The revision, if the repository has it, else the empty string."""
    clean = revision.removesuffix("-dirty")
    return clean if clean and git(root, "cat-file", "-t", clean).strip() == "commit" else ""


def git(root: Path, *words: str) -> str:
    """What git says; nothing if it fails: history explains a change, and is not needed to see it."""
    try:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", *words],
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
