"""Publish the images of a build to registries, sign them and what is said of them, and only then set their tags."""

from __future__ import annotations

import argparse
import json
import os
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

from pipelines import attestations, config, places  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from registry import copy, reference  # noqa: E402
from registry.content import Manifest  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from registry.layout import Layout  # noqa: E402
from registry.remote import Remote  # noqa: E402
from sbom import statements  # noqa: E402
from signing import attachment, keyless, keys, kms, legacy  # noqa: E402
from signing.bundle import Bundle  # noqa: E402
from signing.errors import SigningError  # noqa: E402

Signer = keys.KeySigner | kms.CosignSigner | keyless.KeylessSigner


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
    parser.add_argument("--tag", action="append", help="tags; images other than the first get -TARGET behind it")
    parser.add_argument("--move-tags", action="store_true", help="a tag that points at something else is moved")
    parser.add_argument("--accept-incomplete-scan", default="", metavar="REASON", help="release; the reason is signed")
    parser.add_argument("--output", type=Path, help="layouts with all that was attached (default: DIST/released)")
    parser.add_argument("--json", action="store_true", help="print what was released as JSON")
    group = parser.add_argument_group("who signs")
    group.add_argument("--key", help="PEM file, or a reference such as awskms:// that cosign can reach")
    group.add_argument("--identity-token", metavar="env:NAME|file:PATH", help="OIDC token; else the one of this place")
    group.add_argument("--trust-config", type=Path, help="a private Sigstore (clienttrustconfig.v0.1+json)")
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


def signer(options: argparse.Namespace) -> Signer:
    """Who signs: a key, a key in a service, or an identity."""
    if options.key and kms.is_reference(options.key):
        return kms.signer(options.key)
    if options.key:
        try:
            data = Path(options.key).read_bytes()
        except OSError as error:
            raise SigningError(f"{options.key}: {error.strerror}") from None
        return keys.private(data, os.environ.get("COSIGN_PASSWORD", ""), options.key)
    if options.legacy_signatures:
        raise SigningError("--legacy-signatures are made by a key; give --key")
    kind, _, name = (options.identity_token or "").partition(":")
    try:
        if not kind:
            token = keyless.ambient_token()
        else:
            token = os.environ[name] if kind == "env" else Path({"file": name}[kind]).read_text().strip()
    except (KeyError, OSError):
        raise SigningError("--identity-token is env:NAME of a variable that is set, or file:PATH of a file") from None
    return keyless.KeylessSigner(token, options.trust_config)


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
    verdict = attestations.gate(dist, options.accept_incomplete_scan, datetime.now(UTC))
    who = signer(options)
    settings = places.settings(options)
    released: dict[str, Any] = {}
    with ExitStack() as stack:
        remotes = [stack.enter_context(Remote(each, settings)).for_writing() for each in repositories]
        for place, target in enumerate(targets):
            names = [each if place == 0 else f"{each}-{target}" for each in tags]
            staged = Layout((options.output or dist / "released") / target, create=True)
            released[target] = _one(Layout(dist / target), dist, target, staged, remotes, names, who, verdict, options)
    return {
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
    who: Signer,
    verdict: dict[str, Any],
    options: argparse.Namespace,
) -> dict[str, Any]:
    image = copy.graph(source, source.resolve(None))
    said, absent = attestations.of(dist, target, str(image.root.digest), verdict)
    for each in absent:
        _tell(f"    note  {each} is not there: not attested")
    for remote in remotes:
        for name in names:
            copy.may_tag(remote, name, image.root, options.move_tags)
    for remote in remotes:
        copy.send(image, source, remote, tell=_tell)
    # Read back from everywhere; only now is anything signed.
    copy.send(image, source, staged)
    staged.tag(names[0], image.root)
    about = [(each, kind) for each in image.manifests for kind in (said if each is image.root else said[:1])]
    made = _signed(staged, about, who)
    for remote in remotes:
        for bundle in made:
            copy.send(copy.graph(staged, bundle.descriptor), staged, remote, tell=_tell)
        if options.legacy_signatures and not isinstance(who, keyless.KeylessSigner):
            legacy.signature(remote, image.root.digest, str(remote), who.raw)
            older = [each for each in said if each.predicate_type != statements.COSIGN_SIGNATURE]
            bundles = [(each.predicate_type, who.sign(statements.encode(each))) for each in older]
            legacy.attestations(remote, image.root.digest, bundles)
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


def _signed(staged: Layout, about: Sequence[tuple[Manifest, statements.Statement]], who: Signer) -> list[Manifest]:
    """Sign, except what an interrupted release has signed already; all ends up in the staged layout."""
    there = {}
    for subject in {str(each.digest): each for each, _ in about}.values():
        for found in attachment.find(staged, subject.digest):
            if found.bundle:
                there[found.bundle.envelope.payload] = found.bundle
    wanted = []
    for subject, said in about:
        own = (
            said
            if said.is_about(str(subject.digest))
            else statements.build([str(subject.digest)], said.predicate_type, said.predicate)
        )
        wanted.append((subject, own.predicate_type, statements.encode(own)))
    bundles: dict[bytes, Bundle] = {}
    if isinstance(who, keyless.KeylessSigner):
        missing = [payload for _, _, payload in wanted if payload not in there]
        made = who.sign_all(missing) if missing else []
        bundles = {**there, **dict(zip(missing, made, strict=True))}
    else:
        bundles = {payload: who.sign(payload) for _, _, payload in wanted}
    return [attachment.attach(staged, subject, bundles[payload], kind) for subject, kind, payload in wanted]


def _table(done: dict[str, Any]) -> str:
    lines = [
        f"{target}  {each['digest']}  {', '.join(each['tags'])}  {len(each['attached'])} signatures and attestations"
        for target, each in done["images"].items()
    ]
    return "\n".join([*lines, f"released to {', '.join(done['to'])} in {done['seconds']} s"])


if __name__ == "__main__":
    sys.exit(main())
