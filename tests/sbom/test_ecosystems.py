"""Records of package managers, on cases that the images of today do not have."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.stages.inside import auditable
from sbom import crates, debian, licences, python
from sbom.component import Component, Locks
from sbom.contents import Contents, File, Layer, resolve
from sbom.errors import SbomError
from sbom.inventory import take

LAYER = Layer("base", "sha256:" + "1" * 64, "sha256:" + "2" * 64)


def contents_of(texts: dict[str, str], more: dict[str, File] | None = None, **config: object) -> Contents:
    files = {path: File(path, 0, "sha256:" + "3" * 64) for path in texts} | (more or {})
    whole = {"architecture": "amd64", "config": {}} | config
    return Contents("sha256:" + "4" * 64, whole, (LAYER,), files, {p: t.encode() for p, t in texts.items()}, {})


def _packages(*records: str) -> tuple[Component, ...]:
    names = [line.removeprefix("Package: ") for r in records for line in r.splitlines() if line.startswith("Package: ")]
    texts = {f"var/lib/dpkg/status.d/{name}": record for name, record in zip(names, records, strict=True)}
    texts["etc/os-release"] = 'ID=debian\nVERSION_ID="13"\n'
    return debian.components(contents_of(texts), Locks())


def test_an_epoch_and_a_source_of_another_version_are_kept_apart() -> None:
    (package,) = _packages("Package: libx+1\nVersion: 1:2.0-3+b1\nArchitecture: amd64\nSource: xsrc (1:2.0-3)\n")
    assert package.purl == (
        "pkg:deb/debian/libx%2B1@2.0-3%2Bb1?arch=amd64&distro=debian-13&epoch=1&upstream=xsrc%401:2.0-3"
    )
    assert package.version == "1:2.0-3+b1"
    assert dict(package.properties) == {
        "aquasecurity:trivy:PkgType": "debian",
        "aquasecurity:trivy:SrcEpoch": "1",
        "aquasecurity:trivy:SrcName": "xsrc",
        "aquasecurity:trivy:SrcRelease": "3",
        "aquasecurity:trivy:SrcVersion": "2.0",
    }


def test_a_dependency_is_met_by_an_alternative_or_by_what_another_package_provides() -> None:
    one, other = _packages(
        "Package: aa\nVersion: 1\nArchitecture: all\nDepends: absent | virtual (>= 2), bb:any (= 1) , gone\n",
        "Package: bb\nVersion: 1\nArchitecture: all\nProvides: virtual (= 2)\nDepends: aa\n",
    )
    assert one.depends == (other.ref,) and other.depends == (one.ref,)


def test_a_ring_of_packages_that_nothing_needs_is_still_reached_from_the_image() -> None:
    texts = {
        "var/lib/dpkg/status.d/aa": "Package: aa\nVersion: 1\nArchitecture: all\nDepends: bb\n",
        "var/lib/dpkg/status.d/bb": "Package: bb\nVersion: 1\nArchitecture: all\nDepends: aa\n",
    }
    listed = take(contents_of(texts))
    assert len(listed.root.depends) == 1


def test_one_status_file_of_all_packages_is_read_too_without_what_was_removed() -> None:
    text = (
        "Package: aa\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
        "Package: bb\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n"
    )
    found = debian.components(contents_of({"var/lib/dpkg/status": text}), Locks())
    assert [c.name for c in found] == ["aa"]


def test_a_file_listed_below_a_linked_folder_is_the_one_it_leads_to() -> None:
    texts = {
        "var/lib/dpkg/status.d/aa": "Package: aa\nVersion: 1\nArchitecture: all\n",
        "var/lib/dpkg/info/aa.list": "/.\n/bin\n/bin/tool\n/usr\n",
    }
    more = {"bin": File("bin", 0, link="usr/bin"), "usr/bin/tool": File("usr/bin/tool", 0, "sha256:" + "5" * 64)}
    (package,) = debian.components(contents_of(texts, more), Locks())
    assert "usr/bin/tool" in package.files


def test_a_loop_of_links_ends() -> None:
    files = {"a": File("a", 0, link="b"), "b": File("b", 0, link="/a")}
    assert resolve("a/x", files) == "a/x"


def test_extras_and_markers_decide_what_a_distribution_needs() -> None:
    texts = {
        "s/a-1.dist-info/METADATA": "Name: A_a\nVersion: 1\nRequires-Dist: B[fast]\nRequires-Dist: c; sys_platform == 'win32'\n",
        "s/b-1.dist-info/METADATA": "Name: b\nVersion: 1\nRequires-Dist: d; extra == 'fast'\nRequires-Dist: c; extra == 'slow'\n",
        "s/c-1.dist-info/METADATA": "Name: c\nVersion: 1\nRequires-Dist: not a requirement at all ;;\n",
        "s/d-1.dist-info/METADATA": "Name: d\nVersion: 1\n",
    }
    found = {d.component.name: d.component for d in python.distributions(contents_of(texts), Locks(), "3.13.5")}
    assert found["A_a"].purl == "pkg:pypi/a-a@1"
    assert found["A_a"].depends == ("pkg:pypi/b@1",)
    assert found["b"].depends == ("pkg:pypi/d@1",)


def test_imports_are_found_in_code_and_not_in_comments() -> None:
    sources = {"a.py": b"import os.path\nfrom x import y\n# import z\n", "b.py": b"def (", "c.py": b"from . import w\n"}
    assert python.imported(sources) == {"os.path", "x", "x.y"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("gpl-3", "GPL-3.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat", "MIT"),
        ("apache-2.0", "Apache-2.0"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("GPL-2+-with-link-exception", "GPL-2+-with-link-exception"),
        ("our own", "our own"),
    ],
)
def test_a_licence_has_its_spdx_name_or_keeps_its_own(name: str, expected: str) -> None:
    assert licences.known(name) == expected


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_of_a_licence_breaks_the_reader(text: str) -> None:
    assert isinstance(licences.known(text), str)
    licences.of_copyright(f"Format: copyright-format/1.0\nLicense: {text}")


_METADATA = {
    "packages": [
        {"id": "r", "name": "root", "version": "1.0.0", "source": None, "targets": [{"kind": ["cdylib"]}]},
        {"id": "l", "name": "lib", "version": "2.0.0", "source": "registry+x/index", "targets": [{"kind": ["lib"]}]},
        {"id": "m", "name": "macros", "version": "1.0.0", "source": "git+https://x", "targets": [{"kind": ["proc-macro"]}]},
        {"id": "s", "name": "syn", "version": "1.0.0", "source": "registry+other", "targets": [{"kind": ["lib"]}]},
        {"id": "t", "name": "testing", "version": "1.0.0", "source": None, "targets": [{"kind": ["lib"]}]},
    ],
    "resolve": {
        "root": "r",
        "nodes": [
            {"id": "r", "deps": [
                {"pkg": "l", "dep_kinds": [{"kind": None}]},
                {"pkg": "m", "dep_kinds": [{"kind": None}]},
                {"pkg": "t", "dep_kinds": [{"kind": "dev"}]},
            ]},
            {"id": "l", "deps": []},
            {"id": "m", "deps": [{"pkg": "s", "dep_kinds": [{"kind": None}]}]},
            {"id": "s", "deps": []},
            {"id": "t", "deps": []},
        ],
    },
}  # fmt: skip


def test_a_section_names_what_runs_and_marks_what_only_the_build_ran() -> None:
    data = auditable.section(_METADATA)
    assert json.loads(zlib.decompress(data)) == {
        "packages": [
            {"name": "lib", "version": "2.0.0", "source": "registry", "dependencies": []},
            {"name": "macros", "version": "1.0.0", "source": "git", "kind": "build", "dependencies": [3]},
            {"name": "root", "version": "1.0.0", "source": "local", "dependencies": [0, 1], "root": True},
            {"name": "syn", "version": "1.0.0", "source": "registry", "kind": "build", "dependencies": []},
        ]
    }
    read = crates.of_section(data, "x")
    assert read.root == ("root", "1.0.0")
    assert [c.name for c in read.crates if not c.build] == ["lib", "root"]


@pytest.mark.parametrize(
    "data", [b"", b"x", zlib.compress(b"{}"), zlib.compress(b'{"packages":[]}'), zlib.compress(b"[1]")]
)
def test_a_section_in_another_format_is_refused_by_its_program(data: bytes) -> None:
    with pytest.raises(SbomError, match=r"some/program.*cargo-auditable"):
        crates.of_section(data, "some/program")


def _elf(name: bytes, payload: bytes) -> bytes:
    names = b"\0" + name + b"\0.shstrtab\0"
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 2)
    )
    at = 64 + 3 * 64

    def section(label: int, offset: int, size: int) -> bytes:
        return struct.pack("<II4QIIQQ", label, 1, 0, 0, offset, size, 0, 0, 1, 0)

    table = bytes(64) + section(1, at, len(payload)) + section(2 + len(name), at + len(payload), len(names))
    return header + table + payload + names


def test_the_section_of_a_program_is_found_by_its_name() -> None:
    assert crates.section(_elf(b".dep-v0", b"data")) == b"data"
    assert crates.section(_elf(b".text", b".dep-v0")) == b""


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_damaged_program_has_no_section_and_does_no_harm(noise: bytes, at: int) -> None:
    program = bytearray(_elf(b".dep-v0", b"data"))
    program[at : at + len(noise)] = noise
    assert isinstance(crates.section(bytes(program)), bytes)


def test_a_document_about_something_else_than_crates_says_nothing_of_crates() -> None:
    assert (
        crates.of_document(b'{"bomFormat": "CycloneDX", "metadata": {"component": {"bom-ref": "x", "name": "y"}}}', "p")
        is None
    )
    assert crates.of_document(b"{}", "p") is None
    with pytest.raises(SbomError, match=r"a\.json"):
        crates.of_document(b"[", "a.json")


def test_one_crate_in_two_programs_is_one_component_unless_its_archive_differs() -> None:
    def program(root: str, sha256: str) -> str:
        crate = {
            "bom-ref": "c",
            "name": "c",
            "version": "1",
            "purl": "pkg:cargo/c@1",
            "hashes": [{"alg": "SHA-256", "content": sha256}],
        }
        own = {"bom-ref": "r", "name": root, "version": "1", "purl": f"pkg:cargo/{root}@1"}
        graph = [{"ref": "r", "dependsOn": ["c"]}]
        return json.dumps(
            {"bomFormat": "CycloneDX", "metadata": {"component": own}, "components": [crate], "dependencies": graph}
        )

    def refs(second: str) -> list[str]:
        texts = {}
        for name, sha256 in (("a", "1" * 64), ("b", second)):
            texts[f"s/{name}-1.dist-info/METADATA"] = f"Name: {name}\nVersion: 1\n"
            texts[f"s/{name}-1.dist-info/sboms/x.json"] = program(name, sha256)
        return [c.ref for c in take(contents_of(texts)).components if c.name == "c"]

    assert refs("1" * 64) == ["pkg:cargo/c@1"]
    assert refs("2" * 64) == ["pkg:cargo/c@1", "pkg:cargo/c@1#" + "2" * 12]


def test_the_interpreter_of_an_official_image_owns_what_no_package_manager_knows(tmp_path: Path) -> None:
    more = {
        p: File(p, 0, "sha256:" + "5" * 64) for p in ("usr/local/bin/python3.13", "usr/local/lib/python3.13/os.py", "x")
    }
    listed = take(contents_of({}, more, config={"Env": ["PYTHON_VERSION=3.13.9"]}))
    owner = next(c for c in listed.components if c.kind == "platform")
    assert owner.purl == "pkg:generic/python@3.13.9"
    assert owner.files == ("usr/local/bin/python3.13", "usr/local/lib/python3.13/os.py")
    assert [c.name for c in listed.components if c.kind == "file"] == ["/x"]
