"""Several platforms: what is chosen for each, and an index that is built, read and started."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from images import compare, elf, unpack
from images.validate import validate
from pipelines import platforms, requirements
from pipelines.errors import PipelineError
from tests.parts import toolbox

Build = Callable[..., subprocess.CompletedProcess[str]]
AMD64, ARM64, ARM = platforms.parse("all")


def test_a_platform_is_named_as_oci_names_it_and_an_unknown_one_is_refused_by_name() -> None:
    assert [str(each) for each in platforms.parse("linux/arm/v7, linux/amd64,linux/arm/v7")] == [
        "linux/arm/v7",
        "linux/amd64",
    ]
    assert ARM.oci == {"os": "linux", "architecture": "arm", "variant": "v7"} and "variant" not in ARM64.oci
    with pytest.raises(
        PipelineError, match="unknown platform 'linux/riscv64'; known are: linux/amd64, linux/arm64, linux/arm/v7"
    ):
        platforms.parse("linux/amd64,linux/riscv64")


MARKED = """\
# made by hand
aa==1 ; platform_machine != "armv7l" \\
    --hash=sha256:01 \\
    --hash=sha256:02
    # via x
bb==2 \\
    --hash=sha256:03
cc==3 ; sys_platform == "win32" --hash=sha256:04
dd==4 ; python_version >= "3.13" and platform_machine == "aarch64" --hash=sha256:05
"""


def test_a_requirement_is_judged_by_the_platform_that_it_is_for_and_not_by_the_machine_that_builds() -> None:
    bb = "# made by hand\n{}bb==2 \\\n    --hash=sha256:03\n{}"
    aa = "aa==1 \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n    # via x\n"
    assert requirements.of(MARKED, AMD64, "r.txt") == bb.format(aa, "")
    assert requirements.of(MARKED, ARM64, "r.txt") == bb.format(aa, "dd==4 --hash=sha256:05\n")
    assert requirements.of(MARKED, ARM, "r.txt") == bb.format("", "")


def test_a_marker_that_cannot_be_read_names_file_and_requirement() -> None:
    with pytest.raises(PipelineError, match=r"r\.txt: requirement aa==1: its marker cannot be read"):
        requirements.of("aa==1 ; machine is small --hash=sha256:01\n", ARM64, "r.txt")


def test_an_index_of_two_platforms_is_built_read_and_started(plain: Path, build: Build, tmp_path: Path) -> None:
    done = build(plain, "--target", "distroless", "--platform", "linux/arm64,linux/amd64")
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((plain / "dist/build.json").read_text())["images"]["distroless"]
    layout = plain / "dist/distroless"
    assert validate(layout) == report["digest"]

    top = json.loads((layout / "index.json").read_text())["manifests"]
    assert [each["digest"] for each in top] == [report["digest"]]
    described = json.loads(compare.read(layout, report["digest"]))["manifests"]
    assert [each["platform"] for each in described] == [AMD64.oci, ARM64.oci]
    assert {each["digest"] for each in described} == {each["digest"] for each in report["platforms"].values()}
    layers = {p: {each["name"]: each["digest"] for each in found["layers"]} for p, found in report["platforms"].items()}
    assert layers["linux/amd64"]["application"] == layers["linux/arm64"]["application"]
    assert layers["linux/amd64"]["base"] != layers["linux/arm64"]["base"]

    for platform in (AMD64, ARM64):
        root = tmp_path / platform.slug
        unpack.unpack(layout, root, platform.slug)
        found = [path.read_bytes()[:64] for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        assert {machine for each in found if (machine := elf.machine(each))} == {platform.elf}
        sbom = json.loads((plain / f"dist/sbom/distroless-{platform.slug}.cdx.json").read_text())
        assert {
            each["purl"].partition("arch=")[2].partition("&")[0]
            for each in sbom["components"]
            if "pkg:deb" in each.get("purl", "")
        } <= {
            platform.debian,
            "all",
        }

    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    skopeo = [*toolbox.program("skopeo"), "--insecure-policy", "--override-arch", "arm64"]
    toolbox.run([*skopeo, "copy", f"oci:{layout}", f"oci:{tmp_path / 'one'}:one"], home)
    umoci = [*toolbox.program("umoci"), "unpack", "--rootless", "--image", f"{tmp_path / 'one'}:one"]
    toolbox.run([*umoci, str(tmp_path / "bundle")], home)
    assert elf.machine((tmp_path / "bundle/rootfs/usr/bin/python3.13").read_bytes()) == ARM64.elf

    alone = build(plain, "--target", "distroless", "--output", str(tmp_path / "alone"), "--no-run")
    assert alone.returncode == 0, alone.stderr[-3000:]
    one = json.loads((tmp_path / "alone/build.json").read_text())["images"]["distroless"]
    assert one["digest"] == report["platforms"]["linux/amd64"]["digest"]


def test_an_image_with_a_program_for_another_machine_is_refused(plain: Path, build: Build) -> None:
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(60)
    (plain / "hello/other.so").write_bytes(header)
    done = build(plain, "--target", "distroless", "--no-run", "--no-scan")
    assert done.returncode == 1
    assert "app/hello/other.so is for another machine (ELF 64/183) than the image's (64/62)" in done.stderr
    assert not (plain / "dist").exists()
