"""Debian control data: stanzas of deb822(5) and the relation fields of Policy 7.1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from images.errors import ImageError

_RELATION = re.compile(
    r"\s*(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"\s*(?:\(\s*(?P<op><<|<=|=|>=|>>)\s*(?P<version>[^\s)]+)\s*\))?\s*"
)


@dataclass(frozen=True)
class Relation:
    """`name[:qualifier] [(operator version)]`; operator and version are empty where any version will do."""

    name: str
    operator: str = ""
    version: str = ""
    qualifier: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name


def stanzas(text: str, where: str) -> Iterator[dict[str, str]]:
    """The stanzas of a control file, field names in lower case; `where` names the file in errors."""
    stanza: dict[str, str] = {}
    last = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            if stanza:
                yield stanza
            stanza, last = {}, ""
        elif line[0] in " \t":
            if not last:
                raise ImageError(f"{where}, line {number}: a continuation line without a field before it")
            stanza[last] += "\n" + line.strip()
        elif line[0] != "#":
            name, colon, value = line.partition(":")
            if not colon:
                raise ImageError(f"{where}, line {number}: {line[:60]!r} is no 'Field: value'")
            last = name.lower()
            stanza[last] = value.strip()
    if stanza:
        yield stanza


def relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """A relation field as a conjunction of alternatives; raises ImageError where it can't be read."""
    groups = []
    for group in text.replace("\n", " ").split(","):
        if group.strip():
            groups.append(tuple(_relation(alternative) for alternative in group.split("|")))
    return tuple(groups)


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ImageError(f"{text.strip()!r} is no package relation (Debian Policy 7.1)")
    return Relation(match["name"], match["op"] or "", match["version"] or "", match["arch"] or "")
