"""Python distributions of an image, out of their ``*.dist-info`` folders, and the modules that a program imports."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from email.parser import HeaderParser

from packageurl import PackageURL
from packaging.markers import InvalidMarker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement

from sbom import licences
from sbom.component import Component, Locks
from sbom.contents import Contents, resolve

_METADATA = re.compile(r"(?P<folder>.*?)(?P<info>[^/]+\.dist-info)/METADATA")
#: Where a script goes that pip was told to put beside the packages.
_SCRIPTS = "usr/local/bin/"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution as a component, the ``folder`` that its modules lie in, and what its metadata says."""

    component: Component
    folder: str
    info: str
    metadata: Message


def normal(name: str) -> str:
    """A name as indexes write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(contents: Contents, locks: Locks, python: str) -> tuple[Distribution, ...]:
    """The distributions with their files and dependencies; ``python`` is the interpreter's version."""
    found = [
        _distribution(path, match["folder"], match["info"], contents, locks)
        for path in sorted(contents.texts)
        if (match := _METADATA.fullmatch(path))
    ]
    by_name = {normal(each.component.name): each for each in found}
    edges = _edges(by_name, _environment(python, str(contents.config.get("architecture", ""))))
    return tuple(
        replace(each, component=replace(each.component, depends=edges[normal(each.component.name)])) for each in found
    )


def _distribution(path: str, folder: str, info: str, contents: Contents, locks: Locks) -> Distribution:
    metadata = HeaderParser().parsestr(contents.texts[path].decode(errors="replace"))
    name, version = str(metadata.get("Name", "")), str(metadata.get("Version", ""))
    purl = PackageURL("pypi", None, normal(name), version).to_string()
    component = Component(
        ref=purl,
        kind="library",
        name=name,
        version=version,
        purl=purl,
        licences=_licences(metadata),
        supplier=_text(metadata, "Maintainer", "Maintainer-Email", "Author", "Author-Email"),
        description=_text(metadata, "Summary"),
        homepage=_homepage(metadata),
        sha256=locks.wheels.get((normal(name), version), ""),
        layer=contents.files[path].layer,
        found=(path,),
        files=tuple(sorted(set(_files(folder, info, contents)))),
        properties=(("aquasecurity:trivy:PkgType", "python-pkg"),),
    )
    return Distribution(component, folder, info, metadata)


def _text(metadata: Message, *names: str) -> str:
    for name in names:
        value = " ".join(str(metadata.get(name, "")).split())
        if value and value != "UNKNOWN":
            return value
    return ""


def _homepage(metadata: Message) -> str:
    urls = dict(
        (label.strip().lower(), url.strip())
        for line in metadata.get_all("Project-URL", [])
        for label, _, url in [str(line).partition(",")]
    )
    return _text(metadata, "Home-page") or urls.get("homepage") or urls.get("source") or urls.get("repository") or ""


def _licences(metadata: Message) -> tuple[str, ...]:
    if text := _text(metadata, "License-Expression"):
        return (licences.known(text),)
    named = _text(metadata, "License")
    if licences.expression(named):
        return (licences.expression(named),)
    classified = licences.of_classifiers(str(line) for line in metadata.get_all("Classifier", []))
    # Some put the whole text of their licence into this field.
    return classified or ((named,) if named and len(named) < 80 else ())


def _files(folder: str, info: str, contents: Contents) -> Iterator[str]:
    yield from (path for path in contents.files if path.startswith(f"{folder}{info}/"))
    record = contents.texts.get(f"{folder}{info}/RECORD", b"").decode(errors="replace")
    for line in record.splitlines():
        name, _, rest = line.rpartition(",")[0].rpartition(",")
        name = name.strip('"')
        path = resolve(folder + name, contents.files)
        if path in contents.files:
            yield path
        elif name.startswith("../"):
            # A moved script is known by its bytes: the record has their digest.
            moved = contents.files.get(_SCRIPTS + name.rpartition("/")[2])
            if moved and rest == _record_hash(moved.digest):
                yield moved.path


def _record_hash(digest: str) -> str:
    data = bytes.fromhex(digest.removeprefix("sha256:"))
    return "sha256=" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _environment(python: str, architecture: str) -> dict[str, str]:
    machine = {"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l"}.get(architecture, architecture)
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }


def _edges(by_name: Mapping[str, Distribution], environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What each needs of the others, as refs; an extra counts once something asks for it."""
    extras: dict[str, set[str]] = {name: {""} for name in by_name}
    edges: dict[str, set[str]] = {name: set() for name in by_name}
    changed = True
    while changed:
        changed = False
        for name, distribution in by_name.items():
            for needed in _needs(distribution.metadata, extras[name], environment):
                target = normal(needed.name)
                if target in by_name:
                    edges[name].add(by_name[target].component.ref)
                    if needed.extras - extras[target]:
                        extras[target] |= needed.extras
                        changed = True
    return {name: tuple(sorted(refs - {by_name[name].component.ref})) for name, refs in edges.items()}


def _needs(metadata: Message, extras: set[str], environment: Mapping[str, str]) -> Iterator[Requirement]:
    for line in metadata.get_all("Requires-Dist", []):
        try:
            needed = Requirement(str(line))
            if needed.marker is None or any(needed.marker.evaluate({**environment, "extra": e}) for e in extras):
                yield needed
        except (InvalidRequirement, InvalidMarker, UndefinedEnvironmentName):
            continue


def imported(sources: Mapping[str, bytes]) -> frozenset[str]:
    """The modules that Python sources import, by their full names; a source that is no Python imports nothing."""
    found: set[str] = set()
    for data in sources.values():
        try:
            tree = ast.parse(data)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def providers(modules: frozenset[str], found: tuple[Distribution, ...]) -> tuple[str, ...]:
    """The refs of the distributions that modules come from."""
    wanted = {module.replace(".", "/") for module in modules}
    refs = set()
    for each in found:
        for path in each.component.files:
            inner = path.removeprefix(each.folder)
            stem = inner.removesuffix("/__init__.py") if inner.endswith("/__init__.py") else inner.removesuffix(".py")
            if stem in wanted or (inner.endswith(".so") and inner.partition(".")[0] in wanted):
                refs.add(each.component.ref)
                break
    return tuple(sorted(refs))
