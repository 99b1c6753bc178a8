"""From an image's contents to all its components: each file has an owner, each component a place in the graph."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from packageurl import PackageURL

from sbom import crates, debian, licences, models, python
from sbom.component import Component, Inventory, Locks
from sbom.contents import APPLICATION, Contents, resolve

_CACHE = re.compile(r"(?P<folder>.*/)?__pycache__/(?P<module>[^/]+?)\.cpython-[^/]+\.pyc")
_INTERPRETER = re.compile(r"python3\.\d+-minimal")
# Official Python images build their interpreter below /usr/local, where no package manager knows of it.
_OWN_PYTHON = re.compile(
    r"usr/local/(bin/(python|idle|pydoc|pip|2to3)[^/]*|(lib|include|share)/(libpython|python3|pkgconfig|man)[^/]*(/.*)?)"
)
_LABEL = "org.opencontainers.image."


def take(contents: Contents, locks: Locks | None = None) -> Inventory:
    """All that is in an image.

    Raises:
        SbomError: something in it says what it holds, and cannot be read.
    """
    locks = locks or Locks()
    debs = debian.components(contents, locks)
    interpreter, version = _interpreter(contents, debs)
    dists = python.distributions(contents, locks, version)
    found = [*debs, *(d.component for d in dists)]
    caches = _caches(contents)
    found = [replace(component, files=_with_caches(component.files, caches)) for component in found]
    taken = {path for component in found for path in component.files}
    if interpreter:
        own = () if interpreter.found else (p for p in contents.files if p not in taken and _OWN_PYTHON.fullmatch(p))
        found.append(replace(interpreter, files=tuple(sorted(own))))
        taken |= set(found[-1].files)
    trained = tuple(models.components(contents))
    taken |= {path for model in trained for path in model.files}
    found += [*trained, *_application(contents, taken, dists, interpreter, trained)]
    found += _system(contents)
    found = _compiled(contents, found, locks)
    taken = {path for component in found for path in component.files}
    found += _generated(contents, taken)
    return _rooted(contents, found)


def _caches(contents: Contents) -> Mapping[str, list[str]]:
    """Byte-compiled files by the source that they were made from."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in contents.files:
        if match := _CACHE.fullmatch(path):
            found[f"{match['folder'] or ''}{match['module']}.py"].append(path)
    return found


def _with_caches(files: Iterable[str], caches: Mapping[str, list[str]]) -> tuple[str, ...]:
    owned = set(files)
    return tuple(sorted(owned.union(*(caches.get(path, ()) for path in owned))))


def _interpreter(contents: Contents, debs: Sequence[Component]) -> tuple[Component | None, str]:
    """The interpreter, and its version: the upstream one, as advisories name it."""
    package = next((c for c in debs if _INTERPRETER.fullmatch(c.name)), None)
    variables = dict(v.partition("=")[::2] for v in contents.config.get("config", {}).get("Env", ()))
    if package:
        version = package.version.rpartition(":")[2].partition("-")[0]
    elif version := variables.get("PYTHON_VERSION", ""):
        pass
    else:
        return None, "3.13"
    purl = PackageURL("generic", None, "python", version).to_string()
    depends = (
        tuple(sorted(c.ref for c in debs if c.name in (package.name, package.name.removesuffix("-minimal"))))
        if package
        else ()
    )
    return (
        Component(
            ref=purl,
            kind="platform",
            name="python",
            version=version,
            purl=purl,
            licences=("PSF-2.0",),
            supplier="Python Software Foundation",
            layer=package.layer if package else 0,
            found=package.found if package else (),
            depends=depends,
        ),
        version,
    )


def _system(contents: Contents) -> Iterator[Component]:
    release = debian.distribution(contents)
    if release.get("ID"):
        name, version = release["ID"], release.get("VERSION_ID", "")
        yield Component(
            ref=f"operating-system:{name}-{version}",
            kind="operating-system",
            name=name,
            version=version,
            description=release.get("PRETTY_NAME", ""),
            found=("etc/os-release",),
            properties=(("aquasecurity:trivy:Class", "os-pkgs"), ("aquasecurity:trivy:Type", name)),
        )


def _labels(contents: Contents) -> dict[str, str]:
    labels = contents.config.get("config", {}).get("Labels") or {}
    return {key.removeprefix(_LABEL): value for key, value in labels.items() if key.startswith(_LABEL)}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-") or "image"


def _application(
    contents: Contents,
    taken: set[str],
    dists: tuple[python.Distribution, ...],
    interpreter: Component | None,
    trained: Sequence[Component],
) -> Iterator[Component]:
    """What the application's layer holds and no package owns; it depends on what it imports and on the models beside it."""
    layers = [number for number, layer in enumerate(contents.layers) if layer.name == APPLICATION]
    files = tuple(sorted(p for p, f in contents.files.items() if f.layer in layers and p not in taken))
    if not files:
        return
    labels = _labels(contents)
    name, version = labels.get("title", "application"), labels.get("version") or labels.get("revision", "")
    purl = PackageURL("generic", None, _slug(name), version or None).to_string()
    sources = {path: data for path, data in contents.texts.items() if path in set(files) and path.endswith(".py")}
    depends = {*python.providers(python.imported(sources), dists), *([interpreter.ref] if interpreter else [])}
    depends |= {model.ref for model in trained if model.layer in layers}
    yield Component(
        ref=purl,
        kind="application",
        name=name,
        version=version,
        purl=purl,
        licences=(licences.known(labels["licenses"]),) if labels.get("licenses") else (),
        supplier=labels.get("vendor", ""),
        description=labels.get("description", ""),
        homepage=labels.get("url", ""),
        layer=layers[-1],
        files=files,
        depends=tuple(sorted(depends)),
    )


def _compiled(contents: Contents, found: Sequence[Component], locks: Locks) -> list[Component]:
    """The components and, below each that holds a program in Rust, the crates that it was compiled from."""
    owners = {path: component.ref for component in found for path in component.files}
    described: dict[str, list[tuple[str, crates.Crates]]] = defaultdict(list)
    for path, data in contents.texts.items():
        if "/sboms/" in path and (document := crates.of_document(data, path)):
            described[owners.get(path, "")].append((path, document))
    programs: list[tuple[str, tuple[str, ...], crates.Crates]] = []
    for path, data in sorted(contents.crates.items()):
        resolved, owner = crates.of_section(data, path), owners.get(path, "")
        match = next((each for each in described[owner] if each[1].root == resolved.root), None)
        programs.append(
            (owner, (path, *([match[0]] if match else [])), crates.merged(resolved, match[1] if match else None))
        )
        if match:
            described[owner].remove(match)
    programs += [(owner, (path,), document) for owner, all_of in sorted(described.items()) for path, document in all_of]
    made: dict[str, Component] = {}
    below: dict[str, set[str]] = defaultdict(set)
    for owner, places, program in programs:
        refs = {}
        inside = _inside(program)
        for crate in inside:
            sha256 = crate.sha256 or locks.crates.get(crate.key, "")
            purl = crates.purl(crate)
            known = made.get(purl)
            refs[crate.key] = purl if known is None or known.sha256 == sha256 else f"{purl}#{sha256[:12] or 'local'}"
        for crate in inside:
            component = Component(
                ref=refs[crate.key],
                kind="library",
                name=crate.name,
                version=crate.version,
                purl=crates.purl(crate),
                licences=(licences.known(crate.licence.replace("/", " OR ")),) if crate.licence else (),
                description=crate.description,
                homepage=crate.homepage,
                sha256=crate.sha256 or locks.crates.get(crate.key, ""),
                layer=contents.files[places[0]].layer,
                found=places,
                depends=tuple(sorted(refs[key] for key in crate.depends if key in refs)),
                properties=(("aquasecurity:trivy:PkgType", "rustbinary"),),
            )
            made[component.ref] = _union(made[component.ref], component) if component.ref in made else component
        below[owner].add(refs[program.root])
    return [
        *(replace(c, depends=tuple(sorted({*c.depends, *below[c.ref]}))) if c.ref in below else c for c in found),
        *made.values(),
    ]


def _inside(program: crates.Crates) -> tuple[crates.Crate, ...]:
    """The crates that are in the program: not those that only its build needed."""
    by_key = {crate.key: crate for crate in program.crates if not crate.build}
    pending, reached = [program.root], set[tuple[str, str]]()
    while pending:
        key = pending.pop()
        if key in by_key and key not in reached:
            reached.add(key)
            pending += by_key[key].depends
    return tuple(by_key[key] for key in sorted(reached))


def _generated(contents: Contents, taken: set[str]) -> Iterator[Component]:
    """Files that no package owns, each by itself: what the base's unpacking made."""
    for path, file in sorted(contents.files.items()):
        if path not in taken:
            yield Component(
                ref=f"file:/{path}",
                kind="file",
                name=f"/{path}",
                sha256=file.digest.removeprefix("sha256:"),
                layer=file.layer,
                files=(path,),
                properties=(("pipelines:link", file.link),) if file.link else (),
            )


def _union(one: Component, other: Component) -> Component:
    return replace(
        one,
        found=tuple(sorted({*one.found, *other.found})),
        files=tuple(sorted({*one.files, *other.files})),
        depends=tuple(sorted({*one.depends, *other.depends})),
    )


def _rooted(contents: Contents, found: Iterable[Component]) -> Inventory:
    """The inventory: the image depends on what it starts, and on all that nothing else in it needs."""
    unique: dict[str, Component] = {}
    for component in found:
        unique[component.ref] = _union(unique[component.ref], component) if component.ref in unique else component
    owners = {path: c.ref for c in unique.values() for path in c.files}
    needed = {ref for component in unique.values() for ref in component.depends}
    started = {owners[path] for path in _started(contents) if path in owners}
    top = started | {c.ref for c in unique.values() if c.kind in ("application", "platform", "operating-system")}
    top |= _unreached(unique, top | (set(unique) - needed))
    labels = _labels(contents)
    name = labels.get("title", "image")
    purl = PackageURL(
        "oci", None, _slug(name), contents.digest, {"arch": str(contents.config.get("architecture", ""))}
    ).to_string()
    root = Component(
        ref=purl,
        kind="container",
        name=name,
        version=contents.digest,
        purl=purl,
        sha256=contents.digest.removeprefix("sha256:"),
        description=labels.get("description", ""),
        depends=tuple(sorted(top)),
    )
    return Inventory(root, tuple(unique[ref] for ref in sorted(unique)))


def _unreached(unique: Mapping[str, Component], start: set[str]) -> set[str]:
    """``start``, and one member of each ring of components that nothing outside of it needs."""
    reached, top = set[str](), set(start)
    for ref in [*sorted(start), *sorted(unique)]:
        if ref in reached:
            continue
        top.add(ref)
        pending = [ref]
        while pending:
            each = pending.pop()
            if each not in reached:
                reached.add(each)
                pending += unique[each].depends
    return top


def _started(contents: Contents) -> Iterator[str]:
    """The files that the image's entry point and command name."""
    inner = contents.config.get("config", {})
    variables = dict(v.partition("=")[::2] for v in inner.get("Env") or ())
    for words in (inner.get("Entrypoint") or (), inner.get("Cmd") or ()):
        for word in words[:1]:
            folders = [""] if "/" in word else variables.get("PATH", "").split(":")
            for folder in folders:
                path = resolve(f"{folder}/{word}", contents.files)
                if path in contents.files:
                    yield path
                    break
