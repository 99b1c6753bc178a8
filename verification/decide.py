"""The verdict: a pure function of a policy, of what signers said, and of the time. Fails closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sbom import statements
from signing.trust import Signed
from verification import summary
from verification.policy import Policy, matches

PASSED, FAILED, SKIPPED = "passed", "failed", "not checked"
_SKEW_DAYS = 1 / 24
_NOT_ASKED = "the policy does not ask for it"
_BASE = "runtime base"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and what became of it."""

    name: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one image manifest: ``said`` is signed by who may sign, ``refused`` says what was not and why.

    ``differences`` says in what an SBOM differs from the one that is computed from the image's own files; ``rebuilt`` is
    the digest that a rebuild gave, if there was one.
    """

    digest: str
    said: tuple[Signed, ...]
    refused: tuple[str, ...] = ()
    differences: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    rebuilt: str = ""


def decide(policy: Policy, known: Evidence, now: datetime) -> tuple[Check, ...]:
    """All checks of a policy for one image."""
    return tuple(_checks(policy, known, now))


def passed(checks: Sequence[Check]) -> bool:
    """Whether an image may be used: something was checked, and nothing failed."""
    return any(each.outcome == PASSED for each in checks) and not any(each.outcome == FAILED for each in checks)


def _of(known: Evidence, kind: str) -> list[Signed]:
    """What was said of this very image, with exactly this predicate type."""
    return [
        each for each in known.said if each.statement.predicate_type == kind and each.statement.is_about(known.digest)
    ]


def _checks(policy: Policy, known: Evidence, now: datetime) -> Iterator[Check]:
    signatures = _of(known, statements.COSIGN_SIGNATURE)
    if signatures:
        yield Check("signature", PASSED, f"signed by {signatures[0].signer}")
    else:
        yield Check("signature", FAILED, _missing(known, "signature"))
    if policy.provenance:
        yield from _provenance(policy, known)
    else:
        yield Check("provenance", SKIPPED, _NOT_ASKED)
    yield _sbom(known) if policy.sbom else Check("sbom", SKIPPED, _NOT_ASKED)
    yield _vex(known) if policy.vex else Check("vex", SKIPPED, _NOT_ASKED)
    if policy.scan:
        yield _scan(policy, known, now)
    else:
        yield Check("scan", SKIPPED, _NOT_ASKED)
    if policy.base_max_age is not None:
        yield _base(policy.base_max_age, known, now)
    else:
        yield Check("base", SKIPPED, _NOT_ASKED)
    if policy.rebuild or known.rebuilt:
        yield _rebuild(known)
    else:
        yield Check("rebuild", SKIPPED, _NOT_ASKED)


def _sbom(known: Evidence) -> Check:
    """Recomputed, not believed: a signed document that is not true of the image is refused."""
    found = _of(known, statements.CYCLONEDX)
    if not found:
        return Check("sbom", FAILED, _missing(known, f"sbom attestation ({statements.CYCLONEDX})"))
    if known.differences is None:
        return Check("sbom", FAILED, "the image's contents could not be read, so its SBOM could not be compared")
    wrong: list[str] = []
    for each in found:
        if not (differs := known.differences(each.statement.predicate)):
            return Check("sbom", PASSED, f"attested by {each.signer}, and what the image's files give")
        wrong += differs
    more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return Check("sbom", FAILED, f"the SBOM does not match the image: {'; '.join(wrong[:_SHOWN])}{more}")


def _vex(known: Evidence) -> Check:
    """A document of the form (openvex.dev, specification 0.2.0) that tells, if of any image, of this one."""
    found = _of(known, statements.OPENVEX)
    if not found:
        return Check("vex", FAILED, _missing(known, f"vex attestation ({statements.OPENVEX})"))
    problems = []
    for each in found:
        predicate = each.statement.predicate
        told = predicate.get("statements")
        if not _text(predicate, "@context").startswith(statements.OPENVEX) or not isinstance(told, list):
            problems.append("what is attested as VEX is no OpenVEX document")
            continue
        hashes = {_text(p, "hashes", "sha-256") for one in told for p in _list(one, "products")} - {""}
        if hashes and known.digest.removeprefix("sha256:") not in hashes:
            problems.append(f"the VEX document tells of another image, {min(hashes)}")
            continue
        return Check("vex", PASSED, f"attested by {each.signer}: {len(told)} statements")
    return Check("vex", FAILED, "; ".join(problems))


def _rebuild(known: Evidence) -> Check:
    if known.rebuilt:
        same = known.rebuilt == known.digest
        return Check(
            "rebuild", PASSED if same else FAILED, f"a rebuild gave {known.rebuilt if not same else 'the same digest'}"
        )
    problems = []
    for each in _of(known, statements.VERIFICATION_SUMMARY):
        if not (problem := summary.problem(each.statement.predicate)):
            return Check("rebuild", PASSED, f"{each.signer} has rebuilt it to the same digest")
        problems.append(problem)
    if problems:
        return Check("rebuild", FAILED, "; ".join(problems))
    return Check("rebuild", FAILED, _missing(known, f"verification summary ({statements.VERIFICATION_SUMMARY})"))


def _missing(known: Evidence, what: str) -> str:
    there = sorted({each.statement.predicate_type for each in known.said})
    text = f"there is no {what} of {known.digest} by anyone whom the policy trusts"
    if there:
        text += f"; what there is, is {', '.join(there)}"
    return f"{text}; refused were: {' | '.join(known.refused)}" if known.refused else text


def _provenance(policy: Policy, known: Evidence) -> Iterator[Check]:
    rules = policy.provenance
    assert rules is not None
    found = _of(known, statements.SLSA_PROVENANCE)
    if not found:
        yield Check("provenance", FAILED, _missing(known, f"provenance ({statements.SLSA_PROVENANCE})"))
        return
    problems = []
    for each in found:
        facts = source_of(each.statement.predicate)
        wrong = [
            f"{name} is {facts[name] or 'not told'}, and has to be {' or '.join(wanted)}"
            for name in ("builder", "repository", "revision", "workflow")
            if (wanted := getattr(rules, name)) and not matches(facts[name], wanted)
        ]
        if not wrong:
            yield Check("provenance", PASSED, ", ".join(f"{name} {value}" for name, value in facts.items() if value))
            return
        problems.append("; ".join(wrong))
    yield Check("provenance", FAILED, " | ".join(problems))


def source_of(predicate: Mapping[str, Any]) -> dict[str, str]:
    """Builder, repository, revision and workflow, as SLSA v1 provenance tells them; empty where it does not."""
    builder = _text(predicate, "runDetails", "builder", "id")
    uri = _text(predicate, "buildDefinition", "externalParameters", "source")
    uri = uri or _text(predicate, "buildDefinition", "externalParameters", "source", "uri")
    repository, at, revision = uri.removeprefix("git+").rpartition("@")
    if not at:
        repository, revision = uri.removeprefix("git+"), ""
    commits = [
        _text(each, "digest", "gitCommit")
        for each in _list(predicate, "buildDefinition", "resolvedDependencies")
        if isinstance(each, dict) and (not uri or each.get("uri") == uri)
    ]
    commit = next((each for each in commits if each), "")
    workflow = builder.partition("/.github/")[2].partition("@")[0]
    return {
        "builder": builder,
        "repository": repository,
        "revision": commit or revision,
        "workflow": f".github/{workflow}" if workflow else "",
    }


def _text(value: Any, *path: str) -> str:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _list(value: Any, *path: str) -> list[Any]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _scan(policy: Policy, known: Evidence, now: datetime) -> Check:
    found = _of(known, statements.SCAN_VERDICT)
    if not found:
        return Check("scan", FAILED, _missing(known, f"scan verdict ({statements.SCAN_VERDICT})"))
    # The newest counts: an older "pass" must not hide a newer "fail", nor one of the same time, or of none.
    newest = max(found, key=_order)
    predicate = newest.statement.predicate
    verdict, when = _text(predicate, "verdict"), _when(_scanned(newest))
    allowed = ("pass", "incomplete") if policy.accept_incomplete_scan else ("pass",)
    if verdict not in allowed:
        return Check("scan", FAILED, f"the verdict is {verdict or 'not told'}, and has to be {' or '.join(allowed)}")
    if policy.scan_max_age is not None:
        if when is None:
            return Check("scan", FAILED, "the verdict does not tell when the scan ended, and the policy limits its age")
        age = (now - when).total_seconds() / 86400
        if age > policy.scan_max_age or age < -_SKEW_DAYS:
            return Check("scan", FAILED, f"the scan is {age:.1f} days old, and {policy.scan_max_age:g} are allowed")
    return Check("scan", PASSED, f"verdict {verdict}{f' of {when:%Y-%m-%d}' if when else ''}")


def _order(each: Signed) -> tuple[datetime, bool]:
    when = _when(_scanned(each)) or datetime.max.replace(tzinfo=UTC)
    return when, _text(each.statement.predicate, "verdict") != "pass"


def _scanned(each: Signed) -> str:
    return _text(each.statement.predicate, "metadata", "scanFinishedOn")


def _base(limit: float, known: Evidence, now: datetime) -> Check:
    times = []
    for each in _of(known, statements.SLSA_PROVENANCE):
        for material in _list(each.statement.predicate, "buildDefinition", "resolvedDependencies"):
            if _BASE not in _list(material, "annotations", "stages"):
                continue
            if when := _when(_text(material, "annotations", "archiveTimestamp")):
                times.append(when)
    if not times:
        return Check("base", FAILED, "the provenance does not tell of when the base is, and the policy limits its age")
    age = (now - max(times)).total_seconds() / 86400
    ok = -_SKEW_DAYS <= age <= limit
    return Check("base", PASSED if ok else FAILED, f"the base is {age:.1f} days old, and {limit:g} are allowed")


def _when(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
