"""Patterns of paths: globs with ``**``, and include and exclude lists in the manner of ``.dockerignore``."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence
from contextlib import suppress

from engine.errors import EngineError


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A glob as an expression over paths without a leading slash.

    Raises:
        EngineError: it is none.
    """
    out, i = [], 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif pattern.startswith("**", i):
            out.append(".*")
            i += 2
        elif char == "*":
            out.append("[^/]*")
            i += 1
        elif char == "?":
            out.append("[^/]")
            i += 1
        elif char == "[":
            end = pattern.find("]", i + 2)
            if end < 0:
                raise EngineError(f"{pattern}: syntax error in pattern")
            body = pattern[i + 1 : end]
            negated = body[0] == "^"  # Go's, which knows neither "!" here nor braces.
            out.append("[" + ("^" if negated else "") + re.escape(body[negated:]).replace(r"\-", "-") + "]")
            i = end + 1
        elif char == "\\":
            if i + 1 == len(pattern):
                raise EngineError(f"{pattern}: syntax error in pattern")
            out.append(re.escape(pattern[i + 1]))
            i += 2
        else:
            out.append(re.escape(char))
            i += 1
    return re.compile("".join(out) + r"\Z", re.DOTALL)


def _clean(pattern: str) -> tuple[bool, str]:
    negated = pattern.startswith("!")
    return negated, cleaned(pattern[negated:].strip())


def cleaned(pattern: str) -> str:
    """A pattern without ``.``, ``..`` and slashes too many; one that starts at the root matches nothing, as in Dagger."""
    return posixpath.normpath(pattern or ".")


class Patterns:
    """An ordered list of patterns; the last that matches a path, or a folder above it, decides."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._given = bool(patterns)
        self._rules = [_clean(p) for p in patterns if p.strip()]

    def __bool__(self) -> bool:
        return self._given

    def match(self, path: str) -> bool:
        parts = path.split("/")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        matched = False
        for negated, pattern in self._rules:
            if matched != (not negated) and any(compiled(pattern).match(candidate) for candidate in above):
                matched = not negated
        return matched

    def reach(self, folder: str) -> bool:
        """Whether anything in the folder could match: where nothing can, nobody need look."""
        parts = folder.split("/")
        return any(not negated and _reaches(pattern.split("/"), parts) for negated, pattern in self._rules)

    def close(self, folder: str) -> bool:
        """Whether everything in the folder matches, whatever it is called."""
        return self.match(folder) and not any(negated for negated, _ in self._rules)


def _reaches(pattern: list[str], folder: list[str]) -> bool:
    """Part by part; a pattern that has ended has matched the folder or one above it."""
    for wanted, name in zip(pattern, folder, strict=False):
        if "**" in wanted or any(char in wanted for char in "[\\"):  # they may hold slashes
            return True
        if not compiled(wanted).match(name):
            return False
    return True


def gitignore(lines: str, folder: str = "") -> list[str]:
    """Rules of a ``.gitignore`` in a folder of a tree as patterns of this module (gitignore(5))."""
    out = []
    for line in lines.splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        negated = rule.startswith("!")
        body = rule[negated:].rstrip("/")
        # All in a folder is the folder; what is taken back for folders is taken back for what they hold.
        body = body if negated else body.removesuffix("/**") or "**"
        anchored = "/" in rule[negated:].rstrip("/")
        body = body.lstrip("/") if anchored else f"**/{body}"
        body += "/**" if negated and rule.endswith("/") else ""
        with suppress(EngineError):  # A rule that is no pattern matches nothing.
            compiled(body)
            out.append(("!" if negated else "") + posixpath.join(folder, body))
    return out
