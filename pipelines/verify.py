"""Decide whether an image may be used: signatures, provenance, SBOM, scan and VEX by a policy."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from images.digest import Digest  # noqa: E402
from pipelines import contents, places, rebuild, signers  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from registry import content, copy, place  # noqa: E402
from registry.content import Manifest, Source  # noqa: E402
from registry.errors import Corrupt, Denied, Interrupted, NotFound, RegistryError  # noqa: E402
from registry.layout import Layout  # noqa: E402
from registry.reference import Reference  # noqa: E402
from registry.remote import Remote  # noqa: E402
from sbom import check, inventory, statements  # noqa: E402
from sbom.component import Inventory  # noqa: E402
from sbom.contents import Contents  # noqa: E402
from sbom.errors import SbomError  # noqa: E402
from signing import attachment  # noqa: E402
from signing.errors import SigningError  # noqa: E402
from verification import collect, decide, summary  # noqa: E402
from verification import policy as policies  # noqa: E402
from verification.errors import PolicyError  # noqa: E402

ACCEPTED, REFUSED, UNUSABLE, UNREACHABLE = 0, 1, 2, 3


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/verify.py",
        description=__doc__,
        epilog="Exit codes: 0 accepted; 1 refused; 2 the policy or the command line cannot be used; 3 the image, or what "
        "belongs to it, could not be read, so nothing was decided. Only 0 means that the image may be used.",
    )
    parser.add_argument("image", help="HOST/PATH:TAG or @DIGEST, a layout folder[:TAG], or a tar of one")
    parser.add_argument("--policy", type=Path, required=True, help="TOML file; a policy without rules is refused")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument(
        "--rebuild",
        metavar="SOURCE",
        help="a folder or address that git can clone: the revision of the provenance is built again, by its own pipelines, "
        "and has to give the same digest; minutes, and it runs what that revision says",
    )
    parser.add_argument("--summary", action="store_true", help="sign that the rebuild gave the same, and put it beside")
    signers.add_options(parser)
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    if options.summary and not options.rebuild:
        return _stop("--summary says what a rebuild gave; give --rebuild SOURCE", UNUSABLE)
    try:
        verdict = verify(options.image, policies.read(options.policy), options, datetime.now(UTC))
    except PolicyError as error:
        return _stop(error, UNUSABLE)
    except (Corrupt, SigningError, PipelineError) as error:
        return _stop(error, REFUSED)
    except (NotFound, Denied, Interrupted) as error:
        return _stop(error, UNREACHABLE)
    except RegistryError as error:
        return _stop(error, REFUSED)
    except KeyboardInterrupt:
        return _stop("interrupted; nothing was decided", UNREACHABLE)
    print(json.dumps(verdict, indent=1, sort_keys=True) if options.json else _table(verdict))
    return ACCEPTED if verdict["accepted"] else REFUSED


def _stop(error: object, code: int) -> int:
    print(f"verify: {_shown(str(error))}", file=sys.stderr)
    return code


def verify(image: str, policy: policies.Policy, options: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """The verdict on an image and on each of those that its index holds.

    Raises:
        PolicyError: a key of the policy cannot be read.
        RegistryError: a part of the image is missing or corrupt.
        PipelineError: it could not be built again.
        SigningError: a summary of that was asked for, and nobody can sign it.
    """
    trusted = collect.verifiers(policy)
    who = _may_summarise(image, options) if options.summary else None
    with place.source(place.parse(image), places.settings(options)) as (source, name):
        graph = copy.graph(source, source.resolve(name))
        evidence = [collect.evidence(source, each, trusted, _recomputed(source, each)) for each in graph.manifests]
        # What nobody vouches for is not read any further: only then is every byte of it fetched.
        if all(decide.passed(decide.decide(policies.Policy(policy.signers), each, now)) for each in evidence):
            collect.read(source, graph)
        found = {}
        for each, known in zip(graph.manifests, evidence, strict=True):
            if each.media_type in content.INDEXES:
                # An index holds no software: it has to be signed, and each image in it has to pass the whole policy.
                found[known.digest] = decide.decide(policies.Policy(policy.signers), known, now)
                continue
            if options.rebuild:
                known = replace(known, rebuilt=rebuild.digest(_provenance(known).predicate, options.rebuild, _tell))
            found[known.digest] = decide.decide(policy, known, now)
            if who and decide.passed(found[known.digest]):
                _summarise(image, each, known, who, options, now)
    return {
        "image": image,
        "digest": str(graph.root.digest),
        "accepted": all(decide.passed(checks) for checks in found.values()),
        "checks": {
            digest: [{"name": each.name, "outcome": each.outcome, "reason": each.reason} for each in checks]
            for digest, checks in found.items()
        },
    }


def _recomputed(source: Source, image: Manifest) -> collect.Differences:
    """What compares an SBOM with an image's own files, which are read when there is one to compare."""

    @cache
    def taken() -> tuple[Contents, Inventory]:
        with place.folder(source, image.descriptor) as folder:
            found = contents.read(folder)
        return found, inventory.take(found)

    def differences(document: Mapping[str, Any]) -> Sequence[str]:
        try:
            found, listed = taken()
        except (PipelineError, SbomError) as error:
            return [f"the image's contents cannot be read: {error}"]
        try:
            return check.differences(dict(document), listed, found)
        except (AttributeError, KeyError, TypeError) as error:
            return [f"it is no CycloneDX document that can be compared ({type(error).__name__})"]

    return differences


def _provenance(known: decide.Evidence) -> statements.Statement:
    found = [each.statement for each in known.said if each.statement.predicate_type == statements.SLSA_PROVENANCE]
    if not found:
        raise PipelineError(
            f"{known.digest} has no provenance by anyone whom the policy trusts: what should be rebuilt?"
        )
    return found[0]


def _may_summarise(image: str, options: argparse.Namespace) -> signers.Signer:
    """Who will sign the summary; asked before minutes of building.

    Raises:
        SigningError: there is nobody, or no place where it could be put.
    """
    where = place.parse(image)
    if not isinstance(where, Reference) and place.is_tar(where.path):
        raise SigningError(f"{where.path}: nothing can be put into a tar; give a layout folder or a registry")
    return signers.signer(options)


def _summarise(
    image: str,
    manifest: Manifest,
    known: decide.Evidence,
    who: signers.Signer,
    options: argparse.Namespace,
    now: datetime,
) -> None:
    """Sign that an image was rebuilt, and put it beside the image."""
    where, digest = place.parse(image), Digest.parse(known.digest)
    # Where this machine keeps its files is nobody's business.
    resource = (
        f"{where.repository}@{digest}" if isinstance(where, Reference) else f"pkg:oci/image@sha256%3A{digest.hex}"
    )
    followed = statements.encode(_provenance(known))
    said = summary.of_rebuild(known.digest, resource, str(Digest.of(followed)), now)
    bundle = signers.sign_all(who, [statements.encode(said)])[0]
    if isinstance(where, Reference):
        with Remote(where.repository, places.settings(options)) as remote:
            attachment.attach(remote.for_writing(), manifest, bundle, said.predicate_type)
    else:
        attachment.attach(Layout(where.path), manifest, bundle, said.predicate_type)


def _tell(line: str) -> None:
    print(_shown(line), file=sys.stderr, flush=True)


def _shown(text: str) -> str:
    """A text of strangers, in which nothing can steer a terminal or pass for a line of ours."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _table(verdict: dict[str, Any]) -> str:
    lines = []
    for digest, checks in verdict["checks"].items():
        lines.append(digest)
        lines += [f"  {each['outcome']:>11}  {each['name']:11} {_shown(each['reason'])}" for each in checks]
    return "\n".join([*lines, "accepted" if verdict["accepted"] else "REFUSED"])


if __name__ == "__main__":
    sys.exit(main())
