"""Debian packages of an image, out of dpkg's records: one file a package in ``status.d``, or all in ``status``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.parser import HeaderParser

from packageurl import PackageURL

from sbom import licences
from sbom.component import Component, Locks
from sbom.contents import Contents, resolve

STATUS, INFO = "var/lib/dpkg/status", "var/lib/dpkg/info/"
Record = Mapping[str, str]


def components(contents: Contents, locks: Locks) -> tuple[Component, ...]:
    """The packages that dpkg's records say are installed, with their files and dependencies among each other."""
    system = _system(contents)
    found = [_component(place, record, contents, locks, system) for place, record in _records(contents)]
    provided = {
        name: component.ref
        for component, record in found
        for name in (record["package"], *_names(record.get("provides", "")))
    }
    return tuple(
        replace(component, depends=tuple(sorted(set(_depends(record, provided)) - {component.ref})))
        for component, record in found
    )


def distribution(contents: Contents) -> dict[str, str]:
    """``os-release`` of the image; empty if it has none."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        if path in contents.texts:
            lines = contents.texts[path].decode(errors="replace").splitlines()
            pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
            return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}
    return {}


def _system(contents: Contents) -> str:
    release = distribution(contents)
    return f"{release.get('ID', 'debian')}-{release['VERSION_ID']}" if release.get("VERSION_ID") else ""


def _records(contents: Contents) -> Iterator[tuple[str, Record]]:
    for path in sorted(contents.texts):
        if path != STATUS and not (path.startswith(STATUS + ".d/") and not path.endswith(".md5sums")):
            continue
        for paragraph in re.split(r"\n[ \t]*\n", contents.texts[path].decode(errors="replace").strip()):
            record = {key.lower(): value for key, value in HeaderParser().parsestr(paragraph.strip() + "\n\n").items()}
            installed = record.get("status", "install ok installed").endswith(" installed")
            if record.get("package") and record.get("version") and installed:
                yield path, record


def source(record: Record) -> tuple[str, str]:
    """Name and version of the source package: ``Source: NAME (VERSION)``, each only where it is another."""
    name, _, version = record.get("source", "").partition("(")
    return name.strip() or record["package"], version.strip(" )") or record["version"]


def _component(place: str, record: Record, contents: Contents, locks: Locks, system: str) -> tuple[Component, Record]:
    name, version, architecture = record["package"], record["version"], record.get("architecture", "")
    source_name, source_version = source(record)
    qualifiers = {"arch": architecture, "distro": system, "upstream": f"{source_name}@{source_version}"}
    epoch, _, rest = version.rpartition(":")
    if epoch:
        qualifiers["epoch"] = epoch
    namespace = system.partition("-")[0] or "debian"
    purl = PackageURL("deb", namespace, name, rest, {k: v for k, v in qualifiers.items() if v}).to_string()
    copyright_file = contents.texts.get(resolve(f"usr/share/doc/{name}/copyright", contents.files), b"")
    component = Component(
        ref=purl,
        kind="library",
        name=name,
        version=version,
        purl=purl,
        licences=licences.of_copyright(copyright_file.decode(errors="replace")),
        supplier=record.get("maintainer", ""),
        description=record.get("description", "").splitlines()[0] if record.get("description") else "",
        homepage=record.get("homepage", ""),
        sha256=locks.debs.get((name, version, architecture), ""),
        layer=contents.files[place].layer,
        found=(place,),
        files=tuple(sorted(_files(name, architecture, place, contents))),
        properties=_trivy(source_name, source_version),
    )
    return component, record


def _trivy(name: str, version: str) -> tuple[tuple[str, str], ...]:
    """How Trivy writes a source package (epoch, version and revision apart), so that its advisories are found."""
    epoch, _, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    parts = {"SrcName": name, "SrcVersion": upstream if dash else rest, "SrcRelease": revision if dash else ""}
    parts |= {"SrcEpoch": epoch, "PkgType": "debian"}
    return tuple(sorted((f"aquasecurity:trivy:{key}", value) for key, value in parts.items() if value))


def _files(name: str, architecture: str, place: str, contents: Contents) -> Iterator[str]:
    for listed in (f"{INFO}{name}.list", f"{INFO}{name}:{architecture}.list"):
        if listed in contents.texts:
            for line in contents.texts[listed].decode(errors="replace").splitlines():
                path = resolve(line, contents.files)
                if path in contents.files:
                    yield path
    # What dpkg keeps of a package belongs to it as well.
    yield from (p for p in (place, f"{place}.md5sums") if p in contents.files and p != STATUS)
    for kept in ("list", "md5sums", "conffiles", "shlibs", "symbols", "triggers"):
        for stem in (name, f"{name}:{architecture}"):
            if f"{INFO}{stem}.{kept}" in contents.files:
                yield f"{INFO}{stem}.{kept}"


def _names(relations: str) -> list[str]:
    return [each.split("(")[0].split(":")[0].strip() for each in relations.split(",") if each.strip()]


def _depends(record: Record, provided: Mapping[str, str]) -> Iterator[str]:
    """The refs of what a package depends on; of alternatives, the first that is there."""
    for field in ("pre-depends", "depends"):
        for relation in record.get(field, "").split(","):
            found = [provided[name] for each in relation.split("|") for name in _names(each) if name in provided]
            yield from found[:1]
