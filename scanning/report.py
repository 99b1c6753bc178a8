"""Findings, out of Trivy's JSON reports (schema version 2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from scanning.errors import ScanError
from scanning.policy import SEVERITIES

VULNERABILITY, SECRET, MISCONFIGURATION, LICENCE = "vulnerability", "secret", "misconfiguration", "licence"
KINDS = (VULNERABILITY, SECRET, MISCONFIGURATION, LICENCE)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something found in ``target``, the source or an image.

    ``path`` is the file, for a vulnerability the file that says that the package is there; ``status`` and ``fixed_in``
    are the distributor's word on a fix.
    """

    target: str
    kind: str
    id: str
    severity: str
    package: str = ""
    version: str = ""
    purl: str = ""
    path: str = ""
    line: int = 0
    status: str = ""
    fixed_in: str = ""
    title: str = ""

    def value(self) -> dict[str, Any]:
        return {name.replace("_", "-"): value for name, value in asdict(self).items() if value}


def parse(value: Mapping[str, Any], where: str) -> Finding:
    """A finding as :meth:`Finding.value` wrote it; raises ScanError for another value."""
    types = {f.name: f.type for f in fields(Finding)}
    given = {key.replace("-", "_"): each for key, each in value.items()}
    for name, each in given.items():
        if type(each).__name__ != types.get(name):
            raise ScanError(f"{where}: {name} of a finding is not what it can be: {each!r}")
    try:
        found = Finding(**given)
    except TypeError:
        raise ScanError(f"{where}: a finding lacks its target, kind, id or severity") from None
    if found.kind not in KINDS or found.severity not in SEVERITIES:
        raise ScanError(f"{where}: {found.id} is of no known kind or severity: {found.kind!r}, {found.severity!r}")
    return found


def findings(report: Mapping[str, Any], target: str) -> tuple[Finding, ...]:
    """All findings of a report, sorted.

    Raises:
        ScanError: it is no report of Trivy's.
    """
    if report.get("SchemaVersion") != 2:
        raise ScanError(
            f"the report on {target} is none of Trivy's: its SchemaVersion is {report.get('SchemaVersion')!r}"
        )
    try:
        return tuple(sorted(set(_all(report, target))))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ScanError(f"the report on {target} is not in Trivy's format: {error!r}") from None


def _all(report: Mapping[str, Any], target: str) -> Iterator[Finding]:
    for result in report.get("Results") or ():
        place = result["Target"]
        for each in result.get("Vulnerabilities") or ():
            yield Finding(
                target,
                VULNERABILITY,
                each["VulnerabilityID"],
                _severity(each),
                each["PkgName"],
                each["InstalledVersion"],
                each.get("PkgIdentifier", {}).get("PURL", ""),
                each.get("PkgPath") or ("" if result["Class"] == "os-pkgs" else place),
                0,
                each.get("Status", ""),
                each.get("FixedVersion", ""),
                each.get("Title", ""),
            )
        for each in result.get("Secrets") or ():
            # The match itself is left where it is: a verdict is signed and published.
            yield Finding(
                target,
                SECRET,
                each["RuleID"],
                _severity(each),
                path=place,
                line=int(each.get("StartLine", 0)),
                title=each.get("Title", ""),
            )
        for each in result.get("Misconfigurations") or ():
            if each.get("Status", "FAIL") == "FAIL":
                line = int((each.get("CauseMetadata") or {}).get("StartLine") or 0)
                yield Finding(
                    target,
                    MISCONFIGURATION,
                    each["ID"],
                    _severity(each),
                    path=place,
                    line=line,
                    title=each.get("Title", ""),
                )
        for each in result.get("Licenses") or ():
            yield Finding(
                target,
                LICENCE,
                each["Name"],
                _severity(each),
                each.get("PkgName", ""),
                path=each.get("FilePath", ""),
                title=each.get("Category", ""),
            )


def _severity(each: Mapping[str, Any]) -> str:
    severity = str(each.get("Severity", "")).lower()
    return severity if severity in SEVERITIES else "unknown"


def made(report: Mapping[str, Any]) -> str:
    """When a report was made (RFC 3339); empty if it does not tell."""
    found = report.get("CreatedAt", "")
    return found if isinstance(found, str) else ""


def image(report: Mapping[str, Any]) -> str:
    """The digest of the image configuration that a report is about; empty for one on a folder."""
    found = (report.get("Metadata") or {}).get("ImageID", "")
    return found if isinstance(found, str) else ""
