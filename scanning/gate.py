"""The gate: a policy, findings, exceptions, facts of the database and a clock give a verdict. Nothing else does.

All of these stand in the verdict, so that anyone can judge again: :func:`repeated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Any

from scanning import exceptions as excepting
from scanning import policy as policies
from scanning import report
from scanning.errors import ScanError
from scanning.exceptions import Exemption
from scanning.policy import Policy
from scanning.report import LICENCE, VULNERABILITY, Finding

PASS, FAIL, INCOMPLETE = "pass", "fail", "incomplete"
FAILS, EXCEPTED, TOLERATED = "fails", "excepted", "tolerated"
#: Clocks of two machines differ; a database from further ahead than this has no age that can be told.
_SKEW_DAYS = 1 / 24
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Database:
    """The vulnerability database: ``sha256:…`` of ``trivy.db``, when it was made (RFC 3339), where it came from.

    ``problem`` says why there is none.
    """

    digest: str = ""
    made: str = ""
    source: str = ""
    version: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a verdict follows from; ``reports`` are the digests of Trivy's reports by target, "" for one that is missing."""

    policy: Policy
    exceptions: tuple[Exemption, ...]
    database: Database
    clock: datetime
    reports: Mapping[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, what becomes of it, and why."""

    finding: Finding
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons`` are empty for a pass; ``unused`` are exceptions that cover nothing that was found."""

    verdict: str
    reasons: tuple[str, ...]
    judged: tuple[Judged, ...]
    unused: tuple[Exemption, ...] = field(default=())


def judge(given: Inputs) -> Verdict:
    """The verdict: failing findings and ended exceptions fail; what could not be looked at leaves it incomplete."""
    today = given.clock.astimezone(UTC).date()
    judged = tuple(_judged(each, given, today) for each in sorted(given.findings))
    failed = tuple(_failures(judged, given, today))
    missing = tuple(_missing(given))
    used = {id(e) for e in given.exceptions for j in judged if e.covers(j.finding)}
    unused = tuple(e for e in given.exceptions if id(e) not in used and not e.ended(today))
    return Verdict(FAIL if failed else INCOMPLETE if missing else PASS, (*failed, *missing), judged, unused)


def _judged(finding: Finding, given: Inputs, today: date) -> Judged:
    if finding.severity not in _failing(finding, given.policy):
        return Judged(finding, TOLERATED, "the policy allows it")
    covering = [e for e in given.exceptions if e.covers(finding)]
    for each in covering:
        if not each.ended(today):
            return Judged(finding, EXCEPTED, f"{each.reason} ({each.owner}, until {each.until})")
    if covering:
        return Judged(finding, FAILS, f"its exception ended on {covering[0].until}")
    return Judged(finding, FAILS, "the policy does not allow it")


def _failing(finding: Finding, policy: Policy) -> tuple[str, ...]:
    if finding.kind == VULNERABILITY:
        return policy.fixed if finding.fixed_in else policy.unfixed
    return {report.SECRET: policy.secret, report.MISCONFIGURATION: policy.misconfiguration, LICENCE: policy.licence}[
        finding.kind
    ]


def _failures(judged: Sequence[Judged], given: Inputs, today: date) -> Iterator[str]:
    for kind in report.KINDS:
        failing = [j.finding for j in judged if j.outcome == FAILS and j.finding.kind == kind]
        names = list(dict.fromkeys(_told(each) for each in failing))
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"{kind}: {'; '.join(names[:_SHOWN])}{more}"
    for each in given.exceptions:
        if each.ended(today):
            what = each.package or each.path
            yield f"the exception {each.id} for {what} ({each.owner}) ended on {each.until}: fix it, or decide anew"


def _told(finding: Finding) -> str:
    where = f"{finding.package} {finding.version}".strip() or f"{finding.path}:{finding.line}"
    fix = f", fixed in {finding.fixed_in}" if finding.fixed_in else ""
    return f"{finding.id} ({finding.severity}) in {where}{fix}"


def _missing(given: Inputs) -> Iterator[str]:
    for target, digest in sorted(given.reports.items()):
        if not digest:
            yield f"{target} was not scanned"
    if not given.reports:
        yield "nothing was scanned"
    database = given.database
    if database.problem or not database.digest:
        yield f"there is no vulnerability database: {database.problem or 'none was given'}"
        return
    made = _time(database.made)
    if made is None:
        yield f"the vulnerability database does not tell when it was made, but {database.made!r}"
        return
    age = (given.clock - made).total_seconds() / 86400
    if age > given.policy.database_days:
        yield f"the vulnerability database is {age:.1f} days old, and {given.policy.database_days:g} are allowed"
    elif age < -_SKEW_DAYS:
        yield f"the vulnerability database is of {database.made}, which is ahead of the clock"


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def rfc3339(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def document(given: Inputs, verdict: Verdict, scanner: Mapping[str, str], made: Sequence[str]) -> dict[str, Any]:
    """A verdict as the predicate that is signed (in-toto/attestation, spec/predicates/vuln.md, v0.2), with its inputs.

    ``made`` is when the reports were made. Licences that the policy allows are in the reports and not listed again.
    """
    listed = [j for j in verdict.judged if j.finding.kind != LICENCE or j.outcome != TOLERATED]
    vulnerabilities = [j for j in listed if j.finding.kind == VULNERABILITY]
    clock = rfc3339(given.clock)
    return {
        "verdict": verdict.verdict,
        "reason": "; ".join(verdict.reasons),
        "reasons": list(verdict.reasons),
        "scanner": {
            **scanner,
            "db": {
                "uri": given.database.source,
                "version": str(given.database.version or ""),
                "lastUpdate": given.database.made,
            },
            "result": [
                {
                    "id": j.finding.id,
                    "severity": [{"method": "trivy", "score": j.finding.severity.upper()}],
                    "annotations": {
                        "package": j.finding.purl or j.finding.package,
                        "target": j.finding.target,
                        "outcome": j.outcome,
                    },
                }
                for j in vulnerabilities
            ],
        },
        "metadata": {"scanStartedOn": min(made, default=clock), "scanFinishedOn": max(made, default=clock)},
        "inputs": {
            "policy": {k: list(v) if isinstance(v, tuple) else v for k, v in given.policy.value().items()},
            "exceptions": [each.value() for each in given.exceptions],
            "database": asdict(given.database),
            "clock": clock,
            "reports": dict(sorted(given.reports.items())),
        },
        "findings": [{**j.finding.value(), "outcome": j.outcome, "why": j.why} for j in listed],
        "unusedExceptions": [each.value() for each in verdict.unused],
    }


def inputs(value: Mapping[str, Any], where: str) -> Inputs:
    """What a verdict's document was judged from.

    Raises:
        ScanError: it does not say, or not in the form of :func:`document`.
    """
    given = value.get("inputs")
    if not isinstance(given, dict):
        raise ScanError(f"{where} does not say what it was judged from; scan again")
    database = given.get("database")
    names = {f.name for f in fields(Database)}
    if not isinstance(database, dict) or set(database) != names or not isinstance(given.get("reports"), dict):
        raise ScanError(f"{where}: its inputs lack the database or the reports, or are ill-formed")
    clock = _time(str(given.get("clock")))
    if clock is None:
        raise ScanError(f"{where}: its clock is no time: {given.get('clock')!r}")
    listed, table = value.get("findings"), given.get("policy")
    if (
        not isinstance(listed, list)
        or not all(isinstance(each, dict) for each in listed)
        or not isinstance(table, dict)
    ):
        raise ScanError(f"{where}: its findings or its policy are ill-formed")
    return Inputs(
        policies.parse(table, where),
        excepting.parse(given.get("exceptions"), where),
        Database(**database),
        clock,
        {str(k): str(v) for k, v in given["reports"].items()},
        tuple(_finding(each, where) for each in listed),
    )


def repeated(value: Mapping[str, Any], where: str) -> Verdict:
    """The verdict of a document, judged again from the inputs that stand in it.

    Raises:
        ScanError: it is not the one that the document gives, or the inputs are ill-formed.
    """
    again = judge(inputs(value, where))
    said = {_finding(each, where): each.get("outcome") for each in value["findings"]}
    judged = {j.finding: j.outcome for j in again.judged}
    if again.verdict != value.get("verdict") or list(again.reasons) != value.get("reasons") or judged != said:
        raise ScanError(
            f"{where} says {value.get('verdict')!r} ({value.get('reason')}); its own inputs give {again.verdict!r} "
            f"({'; '.join(again.reasons) or 'nothing against it'})"
        )
    return again


def _finding(each: Mapping[str, Any], where: str) -> Finding:
    return report.parse({key: value for key, value in each.items() if key not in ("outcome", "why")}, where)
