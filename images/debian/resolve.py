"""From wanted names to a closed set of packages. Pure: indexes in, packages out (Debian Policy, chapter 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from images.debian.version import Version
from images.errors import ImageError

_OPERATORS = {
    "<<": lambda a, b: a < b, "<=": lambda a, b: a <= b, "=": lambda a, b: a == b,
    ">=": lambda a, b: a >= b, ">>": lambda a, b: a > b,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package as an index describes it."""

    name: str
    version: str
    architecture: str
    archive: str
    size: int
    sha256: str
    path: str
    depends: str
    provides: str


def candidates(text: str, archive: str) -> list[Candidate]:
    """The packages of an index (deb822)."""
    found = []
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        if "Package" not in fields:
            continue
        depends = ", ".join(v for v in (fields.get("Pre-Depends"), fields.get("Depends")) if v)
        found.append(Candidate(
            fields["Package"], fields["Version"], fields["Architecture"], archive, int(fields["Size"]),
            fields["SHA256"], fields["Filename"], depends, fields.get("Provides", ""),
        ))
    return found


@dataclass(frozen=True, slots=True)
class _Term:
    name: str
    operator: str
    version: str


def terms(text: str) -> list[list[_Term]]:
    """A dependency field as a conjunction of alternatives."""
    groups = []
    for group in filter(None, (g.strip() for g in text.split(","))):
        options = []
        for option in group.split("|"):
            found = re.match(r"\s*([a-z0-9][a-z0-9+.-]*)(?::\w+)?\s*(?:\((<<|<=|=|>=|>>)\s*([^)]+)\))?", option)
            if found is None:
                raise ImageError(f"dependency {option.strip()!r} cannot be read")
            options.append(_Term(found[1], found[2] or "", (found[3] or "").strip()))
        groups.append(options)
    return groups


class Universe:
    """All candidates, the newest version of each name, and who provides what."""

    def __init__(self, found: Iterable[Candidate]) -> None:
        self.newest: dict[str, Candidate] = {}
        for candidate in found:
            known = self.newest.get(candidate.name)
            if known is None or Version(known.version) < Version(candidate.version):
                self.newest[candidate.name] = candidate
        self.providers: dict[str, list[tuple[Candidate, str]]] = {}
        for name in sorted(self.newest):
            for group in terms(self.newest[name].provides):
                self.providers.setdefault(group[0].name, []).append((self.newest[name], group[0].version))

    def satisfying(self, term: _Term) -> list[Candidate]:
        found = []
        real = self.newest.get(term.name)
        if real is not None and _fits(real.version, term):
            found.append(real)
        found += [c for c, version in self.providers.get(term.name, ()) if _fits(version, term)]
        return found


def _fits(version: str, term: _Term) -> bool:
    if not term.operator:
        return True
    return bool(version) and _OPERATORS[term.operator](Version(version), Version(term.version))


def resolve(universe: Universe, wanted: Iterable[str], without: Iterable[str] = ()) -> Mapping[str, Candidate]:
    """The wanted packages and all that they depend on, recommendations aside; ``without`` are left out as if present.

    Raises:
        ImageError: a package or a dependency that nothing satisfies; it names who asked for it.
    """
    chosen: dict[str, Candidate] = {}
    left_out = set(without)
    todo: list[tuple[str, str]] = [(name, "the root") for name in wanted]
    while todo:
        text, asker = todo.pop(0)
        for group in terms(text):
            if any(t.name in left_out for t in group):
                continue
            options = [c for t in group for c in universe.satisfying(t)]
            if any(c.name in chosen for c in options):
                continue
            options = [c for c in options if c.name not in left_out]
            if not options:
                names = " | ".join(f"{t.name} ({t.operator} {t.version})" if t.operator else t.name for t in group)
                raise ImageError(f"{asker} needs {names}, which no suite of the archive has")
            pick = options[0]
            chosen[pick.name] = pick
            todo.append((pick.depends, f"package {pick.name}"))
    return dict(sorted(chosen.items()))
