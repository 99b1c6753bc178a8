"""The gate: what follows from a policy, findings, exceptions, a database and a clock, and from nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanning import exceptions, gate, policy, report
from scanning.errors import ScanError
from scanning.exceptions import Exemption
from scanning.gate import Database, Inputs
from scanning.policy import SEVERITIES, Policy
from scanning.report import Finding

NOW = datetime(2030, 5, 10, 12, tzinfo=UTC)
DATABASE = Database("sha256:" + "a" * 64, "2030-05-09T18:20:01.123456789Z", "the tests", 2)
HOLE = Finding(
    "distroless",
    "vulnerability",
    "CVE-2030-1",
    "high",
    "idna",
    "3.6",
    "pkg:pypi/idna@3.6",
    "x/METADATA",
    0,
    "fixed",
    "3.7",
)
REPORTS = {"source": "sha256:" + "b" * 64, "distroless": "sha256:" + "c" * 64}
EXEMPT = Exemption("CVE-2030-1", "pkg:pypi/idna@3.6", "", "not reached", "ada@example.org", date(2030, 5, 10))


def inputs(*findings: Finding, **more: Any) -> Inputs:
    return replace(Inputs(Policy(), (), DATABASE, NOW, REPORTS, tuple(findings)), **more)


def test_nothing_found_by_a_fresh_database_passes() -> None:
    verdict = gate.judge(inputs())
    assert (verdict.verdict, verdict.reasons) == ("pass", ())


def test_a_vulnerability_with_a_fix_fails_and_is_named_with_its_fix() -> None:
    verdict = gate.judge(inputs(HOLE))
    assert verdict.verdict == "fail"
    assert verdict.reasons == ("vulnerability: CVE-2030-1 (high) in idna 3.6, fixed in 3.7",)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("fixed", ["", "3.7"])
def test_severity_and_fix_state_decide_as_the_policy_says(severity: str, fixed: str) -> None:
    found = replace(HOLE, severity=severity, fixed_in=fixed)
    fails = severity in (("critical", "high") if fixed else ("critical",))
    assert gate.judge(inputs(found)).verdict == ("fail" if fails else "pass")
    strict = Policy(fixed=("low",), unfixed=("unknown",))
    fails = severity == ("low" if fixed else "unknown")
    assert gate.judge(inputs(found, policy=strict)).verdict == ("fail" if fails else "pass")


def test_an_exception_passes_until_the_end_of_its_day_and_fails_the_day_after() -> None:
    for hours, expected in ((0, "pass"), (11.9, "pass"), (12, "fail"), (24, "fail")):
        verdict = gate.judge(inputs(HOLE, exceptions=(EXEMPT,), clock=NOW + timedelta(hours=hours)))
        assert verdict.verdict == expected, hours
    assert "ended on 2030-05-10" in verdict.reasons[1] and "ada@example.org" in verdict.reasons[1]
    # Where it is already tomorrow, the day in UTC still counts.
    assert (
        gate.judge(
            inputs(HOLE, exceptions=(EXEMPT,), clock=datetime.fromisoformat("2030-05-11T01:00:00+14:00"))
        ).verdict
        == "pass"
    )


def test_an_exception_that_ended_fails_even_if_nothing_is_found() -> None:
    assert gate.judge(inputs(exceptions=(EXEMPT,), clock=NOW + timedelta(days=1))).verdict == "fail"


def test_an_exception_that_covers_nothing_is_told_and_fails_nothing() -> None:
    verdict = gate.judge(inputs(exceptions=(EXEMPT,)))
    assert (verdict.verdict, verdict.unused) == ("pass", (EXEMPT,))


@pytest.mark.parametrize(
    ("package", "covers"),
    [
        ("pkg:pypi/idna@3.6", True),
        ("pkg:pypi/idna", True),
        ("pkg:pypi/IDNA", True),
        ("idna", True),
        ("pkg:pypi/idna@3.5", False),
        ("pkg:cargo/idna@3.6", False),
        ("pkg:pypi/idna2", False),
        ("idn", False),
    ],
)
def test_an_exception_covers_its_own_package_and_no_other(package: str, covers: bool) -> None:
    assert replace(EXEMPT, package=package).covers(HOLE) is covers


def test_an_exception_without_a_qualifier_covers_any_and_with_one_only_that() -> None:
    debian = replace(HOLE, purl="pkg:deb/debian/zlib1g@1.3?arch=amd64&distro=debian-13", package="zlib1g")
    for wanted, covers in (
        ("pkg:deb/debian/zlib1g", True),
        ("pkg:deb/debian/zlib1g?arch=amd64", True),
        ("pkg:deb/debian/zlib1g?arch=arm64", False),
    ):
        assert replace(EXEMPT, package=wanted).covers(debian) is covers


def test_a_secret_is_covered_by_its_path_and_rule_alone() -> None:
    secret = Finding("source", "secret", "aws-access-key-id", "critical", path="app/settings.py", line=3)
    assert gate.judge(inputs(secret)).reasons == ("secret: aws-access-key-id (critical) in app/settings.py:3",)
    exempt = replace(EXEMPT, id="aws-access-key-id", package="", path="app/*.py")
    assert gate.judge(inputs(secret, exceptions=(exempt,))).verdict == "pass"
    assert gate.judge(inputs(replace(secret, path="lib/x.py"), exceptions=(exempt,))).verdict == "fail"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"database": Database(problem="no such host")}, "no such host"),
        ({"database": Database()}, "none was given"),
        ({"database": replace(DATABASE, made="2030-05-07T11:59:59Z")}, "3.0 days old, and 3 are allowed"),
        ({"database": replace(DATABASE, made="2030-05-10T14:00:00Z")}, "ahead of the clock"),
        ({"database": replace(DATABASE, made="long ago")}, "does not tell when it was made"),
        ({"reports": REPORTS | {"standard": ""}}, "standard was not scanned"),
        ({"reports": {}}, "nothing was scanned"),
    ],
)
def test_what_cannot_be_looked_at_leaves_the_verdict_incomplete(change: dict[str, Any], says: str) -> None:
    verdict = gate.judge(inputs(**change))
    assert verdict.verdict == "incomplete" and says in verdict.reasons[0]
    secret = Finding("source", "secret", "x", "critical", path="a")
    assert gate.judge(inputs(secret, **change)).verdict == "fail", "what was found counts all the same"


FINDINGS = st.builds(
    Finding,
    st.sampled_from(["source", "distroless"]),
    st.sampled_from(report.KINDS),
    st.sampled_from(["CVE-1", "CVE-2", "rule"]),
    st.sampled_from(SEVERITIES),
    package=st.sampled_from(["a", "b"]),
    path=st.sampled_from(["", "a.py"]),
    fixed_in=st.sampled_from(["", "2"]),
)
EXEMPTIONS = st.builds(
    Exemption,
    st.sampled_from(["CVE-1", "CVE-2", "rule"]),
    st.just("a"),
    st.just(""),
    st.just("why"),
    st.just("who"),
    st.dates(date(2030, 5, 8), date(2030, 5, 12)),
)


@given(st.sets(FINDINGS, max_size=6), st.lists(EXEMPTIONS, max_size=3, unique_by=lambda e: e.id), st.integers(0, 200))
def test_every_verdict_can_be_repeated_from_its_document(
    found: set[Finding], exempt: list[Exemption], hours: int
) -> None:
    asked = inputs(*found, exceptions=tuple(exempt), clock=NOW + timedelta(hours=hours))
    verdict = gate.judge(asked)
    value = json.loads(
        json.dumps(gate.document(asked, verdict, {"uri": "x", "version": "1"}, ["2030-05-10T00:00:00Z"]))
    )
    again = gate.repeated(value, "verdict.json")
    assert (again.verdict, again.reasons) == (verdict.verdict, verdict.reasons)
    if verdict.verdict == "fail":
        with pytest.raises(ScanError, match=r"verdict\.json says 'pass'.*give 'fail'"):
            gate.repeated(value | {"verdict": "pass"}, "verdict.json")


def test_a_document_that_was_changed_does_not_repeat() -> None:
    asked = inputs(HOLE, exceptions=(EXEMPT,))
    value = json.loads(json.dumps(gate.document(asked, gate.judge(asked), {}, [])))
    gate.repeated(value, "v")
    for change in (
        lambda v: v["inputs"]["exceptions"].clear(),
        lambda v: v["inputs"].update(clock="2030-05-11T00:00:00Z"),
        lambda v: v["inputs"]["policy"].update({"database-days": 0.1}),
        lambda v: v["findings"][0].update(outcome="tolerated"),
        lambda v: v["inputs"].pop("database"),
        lambda v: v.pop("findings"),
        lambda v: v["findings"][0].update(severity="nice"),
        lambda v: v.pop("inputs"),
    ):
        changed = json.loads(json.dumps(value))
        change(changed)
        with pytest.raises(ScanError):
            gate.repeated(changed, "v")


GOOD = '[[exception]]\nid = "CVE-1"\npackage = "idna"\nreason = "r"\nowner = "o"\nuntil = 2030-01-31\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[exception]", "exceptions.toml: "),
        ("[[exceptions]]\n", "no key 'exceptions'"),
        ("exception = 3\n", r"tables \[\[exception\]\]"),
        (GOOD + 'ticket = "x"\n', "exception 1 .CVE-1. has no key 'ticket'"),
        (GOOD.replace('id = "CVE-1"\n', ""), "exception 1 .without an id. needs 'id'"),
        (GOOD.replace('reason = "r"', 'reason = " "'), "reason must be a string that is not empty"),
        (GOOD.replace('owner = "o"\n', ""), "needs 'owner'"),
        (GOOD.replace("until = 2030-01-31\n", ""), "needs 'until'"),
        (GOOD.replace("2030-01-31", "2030-01-31T10:00:00Z"), "until must be a date"),
        (GOOD.replace("2030-01-31", '"soon"'), "until must be a date"),
        (GOOD.replace("2030-01-31", "true"), "until must be a date"),
        (GOOD.replace('package = "idna"\n', ""), "either package"),
        (GOOD + 'path = "a"\n', "either package"),
        (GOOD.replace('package = "idna"', 'path = "**"'), "fits every file"),
        (GOOD.replace('"idna"', '"pkg:"'), "no purl"),
        (GOOD + 'justification = "because"\n', "must be one of component_not_present"),
        (GOOD + GOOD, "stands there twice"),
    ],
)  # fmt: skip
def test_an_exception_that_is_ill_formed_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(ScanError, match=says):
        exceptions.read(text, "exceptions.toml")


def test_a_good_file_of_exceptions_is_read() -> None:
    assert exceptions.read("", "e") == ()
    (found,) = exceptions.read(GOOD, "e")
    assert (found.id, found.package, found.until) == ("CVE-1", "idna", date(2030, 1, 31))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"fix": []}, "no key 'fix'"),
        ({"fixed": "high"}, "fixed must be a list of severities"),
        ({"fixed": ["HIGH"]}, "fixed must be"),
        ({"database-days": 0}, "number of days above 0"),
        ({"database-days": True}, "number of days above 0"),
    ],
)
def test_a_policy_that_is_ill_formed_is_one_clear_error(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ScanError, match=says):
        policy.parse(table, "[tool.pipelines.scan]")


@pytest.mark.parametrize(
    "value", [{}, {"SchemaVersion": 1}, {"SchemaVersion": 2, "Results": [{}]}, {"SchemaVersion": 2, "Results": 1}]
)
def test_a_report_that_is_none_of_trivys_is_one_clear_error(value: dict[str, Any]) -> None:
    with pytest.raises(ScanError, match="report on source"):
        report.findings(value, "source")
