"""From wanted packages to the packages that they need. Pure: no file, no network, no clock.

Depends and Pre-Depends count, Recommends never. The newest version over all suites wins. Dependencies with one answer
are followed first, and choices (alternatives, virtual packages) are made when nothing else is left, so that a choice
never pulls in a second answer to a question that another package answers already. There is no backtracking: a choice
that leads to a contradiction is an error that names both sides, and the roots' file can settle it.
"""

from __future__ import annotations

from collections.abc import Iterable

from images.debian import version
from images.debian.control import Relation
from images.debian.package import Candidate, Package
from images.errors import ImageError


class Universe:
    """Candidates by name and by what they provide."""

    def __init__(self, candidates: Iterable[Candidate], architecture: str) -> None:
        self.architecture = architecture
        self._named: dict[str, list[Candidate]] = {}
        self._provided: dict[str, set[str]] = {}
        for candidate in candidates:
            if candidate.package.architecture in (architecture, "all"):
                self._named.setdefault(candidate.package.name, []).append(candidate)
        for name, found in self._named.items():
            found.sort(key=lambda each: version.key(each.package.version), reverse=True)
            # Only the newest version's Provides count: an older one is chosen by an exact relation alone.
            for relation in found[0].provides:
                self._provided.setdefault(relation.name, set()).add(name)

    def answers(self, relation: Relation) -> list[Candidate]:
        """The best candidate of each package that satisfies the relation: the named one first, then providers."""
        if relation.qualifier not in ("", "any", "native", self.architecture):
            return []
        real = [each for each in self._named.get(relation.name, ()) if _satisfied(each, relation)][:1]
        virtual = [self._named[name][0] for name in sorted(self._provided.get(relation.name, ()))]
        return real + [each for each in virtual if each not in real and _satisfied(each, relation)]


def _satisfied(candidate: Candidate, relation: Relation) -> bool:
    """Whether a candidate satisfies a relation, itself or by a Provides (Policy 7.5: versioned only by `=`)."""
    package = candidate.package
    if package.name == relation.name and (
        not relation.operator or version.satisfies(package.version, relation.operator, relation.version)
    ):
        return True
    return any(
        each.name == relation.name
        and (
            not relation.operator
            or (each.version and version.satisfies(each.version, relation.operator, relation.version))
        )
        for each in candidate.provides
    )


def resolve(
    universe: Universe, wanted: Iterable[str], without: Iterable[str] = (), given: Iterable[str] = ()
) -> tuple[Package, ...]:
    """The packages, sorted by name, that the wanted ones need.

    `without` names packages (real or virtual) that count as present and are never taken; `given` names those that a
    lower layer holds, which count as present too. Raises ImageError for what can't be satisfied.
    """
    absent = frozenset(without) | frozenset(given)
    chosen: dict[str, Candidate] = {}
    pending: list[tuple[str, tuple[Relation, ...]]] = []

    def take(candidate: Candidate) -> None:
        chosen[candidate.package.name] = candidate
        pending.extend((candidate.package.name, group) for group in candidate.depends)

    for name in sorted(set(wanted)):
        found = universe.answers(Relation(name))
        if not found or found[0].package.name != name:
            raise ImageError(f"package {name} is wanted, but no suite has it; correct its name in the roots' file")
        take(found[0])
    while pending:
        choices: list[tuple[str, tuple[Relation, ...]]] = []
        while pending:
            needer, group = pending.pop()
            if _present(group, chosen, absent):
                continue
            answers = [answer for relation in group for answer in universe.answers(relation)]
            free = [answer for answer in answers if answer.package.name not in chosen]
            if not free:
                raise ImageError(_contradiction(needer, group, chosen))
            if len(answers) == 1:
                take(free[0])
            else:
                choices.append((needer, group))
        for needer, group in sorted(choices, key=str):
            if not _present(group, chosen, absent):
                answers = [answer for relation in group for answer in universe.answers(relation)]
                take(next(answer for answer in answers if answer.package.name not in chosen))
                # What this choice needs may answer the other choices: follow it first.
                pending.extend(each for each in choices if each != (needer, group))
                break
    _refuse_conflicts(chosen)
    return tuple(chosen[name].package for name in sorted(chosen))


def _present(group: tuple[Relation, ...], chosen: dict[str, Candidate], absent: frozenset[str]) -> bool:
    if any(relation.name in absent for relation in group):
        return True
    for relation in group:
        named = chosen.get(relation.name)
        if named is not None and _satisfied(named, relation):
            return True
    return any(_satisfied(each, relation) for relation in group for each in chosen.values() if each.provides)


def _contradiction(needer: str, group: tuple[Relation, ...], chosen: dict[str, Candidate]) -> str:
    text = f"package {needer} needs {' | '.join(map(str, group))}, which no suite can satisfy"
    held = [chosen[each.name].package for each in group if each.name in chosen]
    return text + "".join(f"; {package.name} {package.version} was chosen already" for package in held)


def _refuse_conflicts(chosen: dict[str, Candidate]) -> None:
    providers: dict[str, list[Candidate]] = {}
    for candidate in chosen.values():
        for name in {candidate.package.name, *(each.name for each in candidate.provides)}:
            providers.setdefault(name, []).append(candidate)
    for name, candidate in sorted(chosen.items()):
        for relation in candidate.conflicts:
            for other in providers.get(relation.name, ()):
                # A package may conflict with what it provides itself: that means every other provider.
                if other is not candidate and _satisfied(other, relation):
                    raise ImageError(f"packages {name} and {other.package.name} exclude each other ({relation})")
