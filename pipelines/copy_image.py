"""Copy an image with all that is attached to it: between registries, layout folders, and tars for an air-gapped site."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from pipelines import places  # noqa: E402
from registry import copy, layout, place  # noqa: E402
from registry.content import Source  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from registry.layout import Layout  # noqa: E402
from registry.reference import Reference  # noqa: E402
from registry.remote import Remote  # noqa: E402
from registry.transport import Settings  # noqa: E402


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/copy_image.py",
        description=__doc__,
        epilog="Examples: python pipelines/copy_image.py ghcr.io/team/app:1.0 site.tar; "
        "python pipelines/copy_image.py site.tar registry.example/team/app:1.0. Exit codes: 0 copied, 1 not copied.",
    )
    parser.add_argument("source", help="HOST/PATH:TAG or @DIGEST, a layout folder[:TAG], or a tar of one")
    parser.add_argument("target", help="HOST/PATH[:TAG], a layout folder[:TAG], or a file that ends in .tar")
    parser.add_argument("--move-tags", action="store_true", help="a tag that points at something else is moved")
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    settings = places.settings(options)
    try:
        wanted = place.parse(options.source)
        with place.source(wanted, settings) as (source, name):
            print(_copy(source, name, wanted, options.target, settings, options.move_tags))
    except RegistryError as error:
        print(f"copy: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("copy: interrupted; no tag was changed", file=sys.stderr)
        return 130
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _copy(source: Source, name: str | None, wanted: place.Place, text: str, settings: Settings, move: bool) -> str:
    root = source.resolve(name)
    target = place.parse(text if "/" in text else f"./{text}")
    if isinstance(target, Reference):
        if target.digest:
            raise RegistryError(f"{text}: a target has a tag, not a digest: the digest stays what it is")
        near = [wanted.repository.path] if isinstance(wanted, Reference) and _same_host(wanted, target) else []
        with Remote(target.repository, settings) as remote:
            tags = [target.tag] if target.tag else []
            sent = copy.copy(source, root, remote.for_writing(), tags, move, near, _tell)
        return (
            f"{target}@{root.digest}  {sent.blobs['sent']} blobs sent, {sent.size / 1e6:.1f} MB"
            if not target.tag
            else (f"{target}  {root.digest}  {sent.blobs['sent']} blobs sent, {sent.size / 1e6:.1f} MB")
        )
    tag = target.name or (name if name and ":" not in name else "")
    if not place.is_tar(target.path):
        sent = copy.copy(source, root, Layout(target.path, create=True), [tag], move, (), _tell)
        return f"{target.path}  {root.digest}  {sent.blobs['sent']} blobs written"
    with tempfile.TemporaryDirectory(prefix="copy-") as folder:
        staged = Layout(Path(folder), create=True)
        copy.copy(source, root, staged, [tag], move, (), _tell)
        layout.to_tar(staged, target.path)
    return f"{target.path}  {root.digest}"


def _same_host(one: Reference, other: Reference) -> bool:
    return one.repository.host == other.repository.host and one.repository != other.repository


if __name__ == "__main__":
    sys.exit(main())
