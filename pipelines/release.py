"""Publish the images of a build to registries, sign them and what is said of them, and only then set their tags."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import attestations, config, places, report, signers  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from registry import content, copy, reference  # noqa: E402
from registry.content import Manifest  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from registry.layout import Layout  # noqa: E402
from registry.remote import Remote  # noqa: E402
from sbom import statements  # noqa: E402
from signing import attachment, keyless, keys, legacy  # noqa: E402
from signing.bundle import Bundle  # noqa: E402
from signing.errors import SigningError  # noqa: E402


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/release.py",
        description=__doc__,
        epilog="Example: python pipelines/release.py --key cosign.key --tag 1.0 --to ghcr.io/team/app. A key's password is "
        "taken from COSIGN_PASSWORD. Exit codes: 0 released everywhere, 1 not; what was sent is not sent again next time.",
    )
    parser.add_argument(
        "--project", type=Path, default=HERE, help="folder with a pyproject.toml that has [tool.pipelines]"
    )
    parser.add_argument("--from", dest="dist", type=Path, help="what build left (default: dist in the project)")
    parser.add_argument("--target", default=",".join(config.TARGETS), help="images, by comma (default: %(default)s)")
    parser.add_argument(
        "--to", action="append", metavar="HOST/PATH", help="repositories, instead of the configured ones"
    )
    parser.add_argument(
        "--tag",
        action="append",
        help="tags; images other than the first get -TARGET behind it, those of a variant -VARIANT",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would go where under which tags, look whether it may; send nothing",
    )
    parser.add_argument("--move-tags", action="store_true", help="a tag that points at something else is moved")
    parser.add_argument("--accept-incomplete-scan", default="", metavar="REASON", help="release; the reason is signed")
    parser.add_argument("--output", type=Path, help="layouts with all that was attached (default: DIST/released)")
    parser.add_argument("--json", action="store_true", help="print what was released as JSON")
    group = signers.add_options(parser)
    group.add_argument("--legacy-signatures", action="store_true", help="cosign's older form too, by key only")
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        done = release(options)
    except (PipelineError, RegistryError, SigningError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("release: interrupted; run the same again to go on", file=sys.stderr)
        return 130
    print(json.dumps(done, indent=1, sort_keys=True) if options.json else _table(done))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def release(options: argparse.Namespace) -> dict[str, Any]:
    """Release, as the options say; what was released, by target.

    Raises:
        PipelineError, RegistryError, SigningError: nothing that is tagged is incomplete.
    """
    began = time.monotonic()
    project = config.read(options.project)
    dist: Path = options.dist or project.root / "dist"
    repositories = [reference.repository(each) for each in (options.to or project.publish)]
    if not repositories:
        raise PipelineError("nowhere to publish to: set publish in [tool.pipelines], or give --to HOST/PATH")
    tags = [
        reference.tag(each) for each in (options.tag or [project.version] if project.version or options.tag else [])
    ]
    if not tags:
        raise PipelineError("there is no tag: set a version in [project], or give --tag")
    targets = config.targets(options.target)
    variant = report.variant(dist)
    named = {
        target: ["-".join(word for word in (each, target if place else "", variant) if word) for each in tags]
        for place, target in enumerate(targets)
    }
    where = ", ".join(f"{each}:{name}" for each in repositories for names in named.values() for name in names)
    source = "--to" if options.to else f"publish in [tool.pipelines] of {project.root / 'pyproject.toml'}"
    _tell(f"   goes to  {where}  (from {source})")
    verdict = attestations.gate(dist, options.accept_incomplete_scan, datetime.now(UTC))
    if options.legacy_signatures and not options.key:
        raise SigningError("--legacy-signatures are made by a key; give --key")
    who = None if options.dry_run else signers.signer(options)
    settings = places.settings(options)
    released: dict[str, Any] = {}
    with ExitStack() as stack:
        remotes = [stack.enter_context(Remote(each, settings)).for_writing() for each in repositories]
        for target, names in named.items():
            layout = Layout(dist / target)
            if who is None:
                released[target] = _planned(layout, dist, target, remotes, names, verdict, options)
                continue
            staged = Layout((options.output or dist / "released") / target, create=True)
            released[target] = _one(layout, dist, target, staged, remotes, names, who, verdict, options)
    return {
        "dry run": options.dry_run,
        "images": released,
        "seconds": round(time.monotonic() - began, 2),
        "to": [str(each) for each in repositories],
    }


def _one(
    source: Layout,
    dist: Path,
    target: str,
    staged: Layout,
    remotes: Sequence[Remote],
    names: Sequence[str],
    who: signers.Signer,
    verdict: dict[str, Any],
    options: argparse.Namespace,
) -> dict[str, Any]:
    image = copy.graph(source, source.resolve(None))
    said, absent = _said(image, dist, target, verdict)
    for remote in remotes:
        for name in names:
            copy.may_tag(remote, name, image.root, options.move_tags)
    for remote in remotes:
        copy.send(image, source, remote, _near(remote, remotes), _tell)
    # Read back from everywhere; only now is anything signed.
    copy.send(image, source, staged)
    staged.tag(names[0], image.root)
    made = _signed(staged, [(each, kind) for each in image.manifests for kind in said[str(each.digest)]], who)
    for remote in remotes:
        for bundle in made:
            copy.send(copy.graph(staged, bundle.descriptor), staged, remote, _near(remote, remotes), _tell)
        if options.legacy_signatures and not isinstance(who, keyless.KeylessSigner):
            for each in image.manifests:
                legacy.signature(remote, each.digest, str(remote), who.raw)
                older = [one for one in said[str(each.digest)] if one.predicate_type != statements.COSIGN_SIGNATURE]
                bundles = [(one.predicate_type, who.sign(statements.encode(one))) for one in older]
                legacy.attestations(remote, each.digest, bundles)
    for remote in remotes:
        for name in names:
            if copy.may_tag(remote, name, image.root, options.move_tags):
                remote.tag(name, image.root)
    return {
        "digest": str(image.root.digest),
        "tags": list(names),
        "attached": {str(each.digest): dict(each.annotations)["dev.sigstore.bundle.predicateType"] for each in made},
        "not attested": absent,
    }


def _near(remote: Remote, remotes: Sequence[Remote]) -> list[str]:
    """Repositories of the same registry that got all before it: what they have is not sent again."""
    before = remotes[: remotes.index(remote)]
    return [each.repository.path for each in before if each.repository.host == remote.repository.host]


def _said(
    image: copy.Graph, dist: Path, target: str, verdict: dict[str, Any]
) -> tuple[dict[str, list[statements.Statement]], list[str]]:
    """What is said of each manifest, by its digest, and the names of what the build left out.

    Of an index the signature and the verdict; of each image in it what the build left under TARGET-ARCHITECTURE.
    """
    said: dict[str, list[statements.Statement]] = {}
    absent: list[str] = []
    architectures = {}
    for index in image.manifests:
        for each in json.loads(index.data).get("manifests", ()):
            platform = each.get("platform") or {}
            words = [platform.get("architecture", ""), platform.get("variant", "")]
            architectures[each["digest"]] = "-".join(str(word) for word in words if word)
    for each in image.manifests:
        digest = str(each.digest)
        if each.media_type in content.INDEXES:
            said[digest] = [
                statements.build([digest], statements.COSIGN_SIGNATURE, {}),
                statements.build([digest], statements.SCAN_VERDICT, verdict),
            ]
            continue
        name = f"{target}-{architectures[digest]}" if architectures.get(digest) else target
        if verdict.get("verdict") == "pass" and not verdict.get("inputs", {}).get("reports", {}).get(name):
            raise PipelineError(
                f"{name} was not scanned: the verdict that passed is of other images; build or scan again"
            )
        said[digest], missing = attestations.of(dist, name, digest, verdict)
        absent += missing
    for one in absent:
        _tell(f"      note  {one} is not there: not attested")
    return said, absent


def _planned(
    source: Layout,
    dist: Path,
    target: str,
    remotes: Sequence[Remote],
    names: Sequence[str],
    verdict: dict[str, Any],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """What a release would do: nothing is signed and nothing is sent."""
    image = copy.graph(source, source.resolve(None))
    said, absent = _said(image, dist, target, verdict)
    for remote in remotes:
        missing = [each for each in image.blobs if not remote.has(each)]
        size = sum(each.size for each in missing)
        _tell(f"     sends  {remote}  {len(missing)} of {len(image.blobs)} blobs, {size / 1e6:.1f} MB")
        for name in names:
            moved = copy.may_tag(remote, name, image.root, options.move_tags)
            _tell(f"{'sets' if moved else 'has':>10}  {remote}:{name} {image.root.digest}")
    return {
        "digest": str(image.root.digest),
        "tags": list(names),
        "attached": {digest: [each.predicate_type for each in listed] for digest, listed in said.items()},
        "not attested": absent,
    }


def _signed(
    staged: Layout, about: Sequence[tuple[Manifest, statements.Statement]], who: signers.Signer
) -> list[Manifest]:
    """Sign, except what this identity, or key in a service, has signed already, in a release that was interrupted; all ends up in ``staged``.

    What another identity has signed is signed again: whose policy names only the second one finds its signatures too.
    """
    wanted = [(subject, said.predicate_type, statements.encode(said)) for subject, said in about]
    kept: dict[bytes, Bundle] = {}
    # A key at hand gives the same bytes again.
    if not isinstance(who, keys.KeySigner):
        subjects = {each.digest for each, _ in about}
        there = [found.bundle for subject in subjects for found in attachment.find(staged, subject) if found.bundle]
        kept = {each.envelope.payload: each for each in who.own(there)}
    missing = [payload for _, _, payload in wanted if payload not in kept]
    bundles = {**kept, **dict(zip(missing, signers.sign_all(who, missing), strict=True))}
    return [attachment.attach(staged, subject, bundles[payload], kind) for subject, kind, payload in wanted]


def _table(done: dict[str, Any]) -> str:
    lines = [
        f"{target}  {each['digest']}  {', '.join(each['tags'])}  {len(each['attached'])} signatures and attestations"
        for target, each in done["images"].items()
    ]
    if done["dry run"]:
        return "\n".join([*lines, f"nothing was sent; without --dry-run it goes to {', '.join(done['to'])}"])
    return "\n".join([*lines, f"released to {', '.join(done['to'])} in {done['seconds']} s"])


if __name__ == "__main__":
    sys.exit(main())
