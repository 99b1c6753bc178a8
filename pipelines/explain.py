"""Why two images differ: from the digest to the layer, the file, the package, the line of the lock and its commit."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from images import compare  # noqa: E402
from images.debian.roots import lock_name  # noqa: E402
from images.errors import ImageError  # noqa: E402
from pipelines import config, contents, history, places, platforms  # noqa: E402
from pipelines.errors import PipelineError  # noqa: E402
from pipelines.history import Cause, Commit, Span  # noqa: E402
from registry import place  # noqa: E402
from registry.errors import RegistryError  # noqa: E402
from sbom import changes, inventory, materials  # noqa: E402
from sbom.changes import ComponentChange, FileChange  # noqa: E402
from sbom.contents import Contents  # noqa: E402
from sbom.errors import SbomError  # noqa: E402
from sbom.python import normal  # noqa: E402

_REVISION = "org.opencontainers.image.revision"
_SHOWN = 8
_APP = "app/"


@dataclass(frozen=True, slots=True)
class Explained:
    """A component that changed, the lines of locks that say so, and the commits that touched its source."""

    change: ComponentChange
    causes: tuple[Cause, ...]
    commits: tuple[Commit, ...]


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pipelines/explain.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="""\
An image is what a build left (a dist folder, of which --target is taken), an OCI layout or a tar of one, or
HOST/PATH:TAG. Lines and commits come from the project's git history, where it has the images' revisions.

examples:
  python pipelines/explain.py /tmp/yesterday/dist dist
  python pipelines/explain.py ghcr.io/team/app:1.0 ghcr.io/team/app:1.1 --project ../app --json

exit codes: 0 the same image, 1 they differ, 2 one of them could not be read
""",
    )
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--target", default="distroless", help="the image of a dist folder (default: %(default)s)")
    parser.add_argument(
        "--platform",
        default=platforms.NATIVE,
        help="of images for several platforms, the one to look at (default: %(default)s)",
    )
    parser.add_argument("--project", type=Path, default=HERE, help="the project whose images these are (default: here)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    places.add_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    try:
        value = explain(options)
    except (PipelineError, RegistryError, SbomError) as error:
        print(f"explain: {error}", file=sys.stderr)
        return 2
    print(json.dumps(value, indent=1, sort_keys=True) if options.json else "\n".join(_tree(value)))
    return 0 if value["same"] else 1


def explain(options: argparse.Namespace) -> dict[str, Any]:
    """What differs and why, as plain data.

    Raises:
        PipelineError, RegistryError, SbomError: an image or the project cannot be read.
    """
    project = config.read(options.project)
    known: contents.Known = {}
    with ExitStack() as stack:
        folders = [_layout(each, options, stack) for each in (options.old, options.new)]
        found = [_contents(folder, known, platforms.parse(options.platform)[0]) for folder in folders]
    old, new = (changes.Image(each, inventory.take(each)) for each in found)
    revisions = [str((each.config.get("config", {}).get("Labels") or {}).get(_REVISION, "")) for each in found]
    between = changes.between(old, new)
    span = _span(project.root, revisions)
    platform = _platform(new.contents.config)
    return {
        "same": between.old == between.new,
        "old": {"digest": between.old, "revision": revisions[0]},
        "new": {"digest": between.new, "revision": revisions[1]},
        "config": [{"key": key, "old": a, "new": b} for key, a, b in between.config],
        "layers": [
            {
                "name": layer.name,
                "old": layer.old,
                "new": layer.new,
                "components": [
                    asdict(_explained(each, project, span, revisions, platform)) for each in layer.components
                ],
            }
            for layer in between.layers
        ],
    }


def _contents(folder: Path, known: contents.Known, platform: platforms.Platform) -> Contents:
    """The contents of a layout's one image, or of that for a platform."""
    try:
        several = "" not in compare.manifests_of(folder)
    except ImageError as error:
        raise PipelineError(str(error)) from None
    return contents.read(folder, known, platform.slug if several else "")


def _platform(config: Mapping[str, Any]) -> platforms.Platform:
    """The platform that an image's configuration names; the machine's own if it is one that is not built here."""
    words = (str(config.get(key, "")) for key in ("os", "architecture", "variant"))
    return platforms.PLATFORMS.get("/".join(filter(None, words)), platforms.PLATFORMS[platforms.NATIVE])


def _layout(text: str, options: argparse.Namespace, stack: ExitStack) -> Path:
    path = Path(text)
    if (path / options.target / "index.json").is_file():
        return Path(path, options.target)
    if (path / "index.json").is_file():
        return path
    if path.is_dir():
        raise PipelineError(
            f"{path} holds neither an image layout nor a target {options.target!r}; --target names another"
        )
    source, name = stack.enter_context(place.source(place.parse(text), places.settings(options)))
    return stack.enter_context(place.folder(source, source.resolve(name)))


def _span(root: Path, revisions: Sequence[str]) -> Span:
    """The two revisions in a repository; the working tree for a newer image with changes that no commit holds."""
    old, new = (history.known(root, each) for each in revisions)
    return Span(root, old, "" if revisions[1].endswith("-dirty") else new)


def _explained(
    each: ComponentChange, project: config.Project, span: Span, revisions: Sequence[str], platform: platforms.Platform
) -> Explained:
    moved = each.old != each.new
    if each.ecosystem == "deb":
        own = _span(HERE, revisions) if span.root != HERE else span
        finder = re.compile(rf"^package {re.escape(each.name)} ", re.MULTILINE)
        locks = [f"bases/{lock_name(name, platform.debian)}.lock" for name in ("distroless", "standard")]
        return Explained(each, tuple(_causes(own, locks, finder)) if moved else (), ())
    if each.ecosystem == "pypi" and (causes := _requirement(each, project, span)):
        return Explained(each, causes if moved else (), () if moved else span.commits(project.requirements))
    if each.ecosystem in ("cargo", "pypi") and project.rust:
        # Of our own crates and wheel there is no line in a lock that could tell of a change: their source does.
        finder = re.compile(rf'^name = "{re.escape(each.name)}"\nversion = ', re.MULTILINE)
        lock = f"{project.rust}/Cargo.lock"
        causes = tuple(_causes(span, [lock], finder, 1)) if moved and each.ecosystem == "cargo" else ()
        return Explained(each, causes, () if causes else span.commits(project.rust))
    return Explained(each, (), span.commits(*_sources(each.files, project)) if _sources(each.files, project) else ())


def _causes(span: Span, paths: Sequence[str], finder: re.Pattern[str], below: int = 0) -> Iterator[Cause]:
    def find(text: str) -> int:
        match = finder.search(text)
        return text.count("\n", 0, match.start()) + 1 + below if match else 0

    for path in paths:
        if cause := span.line(path, find):
            yield cause


def _requirement(each: ComponentChange, project: config.Project, span: Span) -> tuple[Cause, ...]:
    def find(text: str) -> int:
        return next((n for (name, _), n in materials.pins(text).items() if name == normal(each.name)), 0)

    cause = span.line(project.requirements, find)
    return (cause,) if cause else ()


def _sources(files: Sequence[FileChange], project: config.Project) -> list[str]:
    """The files of the project that files of an image are made from; a byte-compiled one is made from its source."""
    found = set()
    for each in files:
        path = re.sub(r"__pycache__/([^/.]+)\.cpython-[^/]*\.pyc$", r"\1.py", each.path)
        for package in project.source:
            inside = _APP + package.removeprefix("src/")
            if path == inside or path.startswith(f"{inside}/"):
                found.add(package + path.removeprefix(inside))
    return sorted(found)


def _tree(value: dict[str, Any]) -> Iterator[str]:
    if value["same"]:
        yield f"the same image: {value['old']['digest']}"
        return
    for name in ("old", "new"):
        yield f"{name}  {value[name]['digest']}  revision {value[name]['revision'] or 'not told'}"
    for each in value["config"]:
        yield f"├─ config {each['key']}: {each['old'] or 'not set'} → {each['new'] or 'not set'}"
    for layer in value["layers"]:
        yield f"├─ layer {layer['name']}: {layer['old'][:19] or 'none'} → {layer['new'][:19] or 'none'}"
        if not layer["components"]:
            yield "│  └─ the same files, packed in another way or with other times"
        for each in layer["components"]:
            yield from _branch(each)


def _branch(each: dict[str, Any]) -> Iterator[str]:
    change = each["change"]
    versions = f"{change['old'] or 'none'} → {change['new'] or 'none'}"
    if change["old"] == change["new"]:
        versions = f"{change['new']} {change['change']}".strip()
    yield f"│  ├─ {change['ecosystem'] or 'file'} {change['name']}: {versions}"
    for cause in each["causes"]:
        verb = "was" if cause["gone"] else "is"
        yield f"│  │  ├─ {cause['file']}:{cause['line']} {verb} {cause['text'].strip()[:100]}"
        if cause["commit"]:
            yield f"│  │  │  └─ {_commit(cause['commit'])}"
    for commit in each["commits"][:_SHOWN]:
        yield f"│  │  ├─ {_commit(commit)}"
    files = change["files"]
    for file in files[:_SHOWN]:
        yield f"│  │  ├─ {file['change']} /{file['path']}"
    if len(files) > _SHOWN:
        yield f"│  │  └─ and {len(files) - _SHOWN} files more"


def _commit(commit: dict[str, Any]) -> str:
    return f"{commit['id'][:12]} {commit['when'][:10]} {commit['author']}: {commit['subject']}".strip(" :")


if __name__ == "__main__":
    sys.exit(main())
