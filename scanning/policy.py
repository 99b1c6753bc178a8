"""What may be found and what may not: the table ``[tool.pipelines.scan]``, parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from scanning.errors import ScanError

#: As Trivy names them, from the worst on.
SEVERITIES = ("critical", "high", "medium", "low", "unknown")


@dataclass(frozen=True, slots=True)
class Policy:
    """The severities that fail, by kind; vulnerabilities by whether there is a version that fixes them.

    ``licence`` goes by how Trivy classifies licences: critical is forbidden, high restricted, medium reciprocal, low
    notice. ``database_days`` is the oldest that a vulnerability database may be, counted from when it was made.
    """

    fixed: tuple[str, ...] = ("critical", "high")
    unfixed: tuple[str, ...] = ("critical",)
    secret: tuple[str, ...] = SEVERITIES
    misconfiguration: tuple[str, ...] = ("critical", "high")
    licence: tuple[str, ...] = ("critical",)
    database_days: float = 3.0

    def value(self) -> dict[str, Any]:
        return {name.replace("_", "-"): value for name, value in asdict(self).items()}


def parse(table: Mapping[str, Any], where: str) -> Policy:
    """A policy from its table; what is left out has its default.

    Raises:
        ScanError: a key is unknown, or its value is none that it can have.
    """
    known = {f.name.replace("_", "-"): f.name for f in fields(Policy)}
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ScanError(f"{where} has no key {key!r}; known are: {', '.join(sorted(known))}")
        given[known[key]] = _days(value, f"{where} {key}") if key == "database-days" else _list(value, f"{where} {key}")
    return Policy(**given)


def _days(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10_000:
        raise ScanError(f"{where} must be a number of days above 0, not {value!r}")
    return float(value)


def _list(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(each in SEVERITIES for each in value):
        raise ScanError(f"{where} must be a list of severities ({', '.join(SEVERITIES)}), not {value!r}")
    return tuple(each for each in SEVERITIES if each in value)
