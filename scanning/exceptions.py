"""Exceptions: findings that somebody answers for, until a date."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from packageurl import PackageURL

from scanning.errors import ScanError
from scanning.report import Finding

#: Why a vulnerability does no harm, in OpenVEX's words (openvex.dev, specification 0.2.0, "Status justifications").
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)
_NEEDED = ("id", "reason", "owner", "until")
_KEYS = {*_NEEDED, "package", "path", "justification"}


@dataclass(frozen=True, slots=True)
class Exemption:
    """A finding that passes up to and including the day ``until`` (UTC).

    ``package`` is a purl or a name, ``path`` a pattern with ``*``: one of the two says what the exception is for.
    Without a ``justification`` the harm is real, and borne for ``reason``.
    """

    id: str
    package: str
    path: str
    reason: str
    owner: str
    until: date
    justification: str = ""

    def covers(self, finding: Finding) -> bool:
        if finding.id != self.id:
            return False
        if self.path:
            return fnmatch.fnmatchcase(finding.path, self.path.replace("[", "[[]").replace("?", "[?]"))
        return same_package(self.package, finding.purl, finding.package)

    def ended(self, today: date) -> bool:
        return today > self.until

    def value(self) -> dict[str, str]:
        texts = {
            name: str(getattr(self, name)) for name in ("id", "package", "path", "reason", "owner", "justification")
        }
        return {name: text for name, text in (texts | {"until": self.until.isoformat()}).items() if text}


def same_package(wanted: str, purl: str, name: str) -> bool:
    """Whether a package is the wanted one: by name, or by a purl, of which what is left out is not asked for."""
    if not wanted.startswith("pkg:"):
        return wanted == name
    if not purl:
        return False
    one, other = PackageURL.from_string(wanted), PackageURL.from_string(purl)
    if (one.type, one.namespace, one.name) != (other.type, other.namespace, other.name):
        return False
    if one.version and one.version != other.version:
        return False
    asked, has = dict(one.qualifiers or {}), dict(other.qualifiers or {})
    return all(has.get(key) == each for key, each in asked.items())


def read(text: str, where: str) -> tuple[Exemption, ...]:
    """The exceptions of a TOML file: tables ``[[exception]]``.

    Raises:
        ScanError: it is no TOML, or one of them has a key that is unknown, missing or ill-formed.
    """
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScanError(f"{where}: {error}") from None
    if unknown := sorted(whole.keys() - {"exception"}):
        raise ScanError(f"{where} has no key {unknown[0]!r}; exceptions are tables [[exception]]")
    return parse(whole.get("exception", []), where)


def parse(listed: Any, where: str) -> tuple[Exemption, ...]:
    """Exceptions from their tables; errors as :func:`read`."""
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise ScanError(f"{where}: exceptions are tables [[exception]]")
    found = tuple(
        _one(table, f"{where}: exception {n} ({table.get('id', 'without an id')})") for n, table in enumerate(listed, 1)
    )
    seen: set[tuple[str, str, str]] = set()
    for each in found:
        if (key := (each.id, each.package, each.path)) in seen:
            raise ScanError(f"{where}: {each.id} for {each.package or each.path} stands there twice; keep one of them")
        seen.add(key)
    return found


def _one(table: Mapping[str, Any], where: str) -> Exemption:
    for key in table:
        if key not in _KEYS:
            raise ScanError(f"{where} has no key {key!r}; known are: {', '.join(sorted(_KEYS))}")
    for key in _NEEDED:
        if key not in table:
            raise ScanError(f"{where} needs {key!r}: each has {', '.join(_NEEDED)}, and a package or a path")
    for key, value in table.items():
        if key != "until" and (not isinstance(value, str) or not value.strip()):
            raise ScanError(f"{where}: {key} must be a string that is not empty, not {value!r}")
    if ("package" in table) == ("path" in table):
        raise ScanError(f"{where} needs either package (a purl or a name) or path, to say what it is for")
    if table.get("path", "x").strip("*/") == "":
        raise ScanError(f"{where}: path {table['path']!r} fits every file; name the file")
    if table.get("package", "").startswith("pkg:"):
        try:
            PackageURL.from_string(table["package"])
        except ValueError as error:
            raise ScanError(f"{where}: package is no purl: {error}") from None
    justification = table.get("justification", "")
    if justification and justification not in JUSTIFICATIONS:
        raise ScanError(f"{where}: justification must be one of {', '.join(JUSTIFICATIONS)}, not {justification!r}")
    return Exemption(
        table["id"],
        table.get("package", ""),
        table.get("path", ""),
        table["reason"],
        table["owner"],
        _until(table["until"], where),
        justification,
    )


def _until(value: Any, where: str) -> date:
    # A datetime is a date too for isinstance, and has a time zone that nobody asked for.
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ScanError(f"{where}: until must be a date such as 2030-01-31, not {value!r}") from None
