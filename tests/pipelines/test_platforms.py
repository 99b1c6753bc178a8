"""Several platforms: what is chosen for each, and an index that is built, read and started."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from images import compare, elf, unpack
from images.validate import validate
from pipelines import config, platforms, requirements
from pipelines.errors import PipelineError
from tests.parts import toolbox
from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.outside import environment
from tests.parts.registries import Registry
from tests.parts.released import key_files
from tests.pipelines.conftest import built, repository

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


def test_what_is_compiled_is_named_for_a_platform_that_is_known(tmp_path: Path) -> None:
    table = {"from-source": {"linux/amd64": ["aa"]}}
    with pytest.raises(
        PipelineError, match=r"from-source\] names 'linux/amd64'; what can be compiled for is: linux/arm64"
    ):
        config.parse(table, tmp_path, "pyproject.toml")


class Built:
    """A project's index of all platforms: its layout, the output folder, and what `build.json` says of the image."""

    def __init__(self, project: Path, folder: Path) -> None:
        self.project, self.out = project, folder / "out"
        done = built(project, "--target", "distroless", "--platform", "all", "--output", str(self.out))
        if "cannot be started on this machine" in done.stderr:
            pytest.skip(done.stderr.splitlines()[-2])
        assert done.returncode == 0, done.stderr[-3000:]
        self.layout, self.said = self.out / "distroless", done.stderr
        self.report = json.loads((self.out / "build.json").read_text())["images"]["distroless"]
        self.manifests = json.loads(compare.read(self.layout, self.report["digest"]))["manifests"]

    def root(self, platform: platforms.Platform, target: Path) -> Path:
        unpack.unpack(self.layout, target, platform.slug)
        return target


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built once for the tests below, and each of its images started: those of other processors under an emulator."""
    folder = tmp_path_factory.mktemp("index")
    return Built(repository(folder / "project"), folder)


def test_what_is_compiled_for_a_platform_is_taken_out_of_its_requirements_and_has_to_be_among_them() -> None:
    others, these = requirements.parted(MARKED, {"bb"}, "r.txt")
    assert these == "bb==2 \\\n    --hash=sha256:03\n" and "bb" not in others and "cc==3" in others
    with pytest.raises(PipelineError, match=r"r\.txt does not require ee, which is to be compiled from its source"):
        requirements.parted(MARKED, {"bb", "ee"}, "r.txt")


def test_an_index_of_three_platforms_is_whole_and_names_each_as_oci_does(index: Built) -> None:
    assert validate(index.layout) == index.report["digest"]
    top = json.loads((index.layout / "index.json").read_text())["manifests"]
    assert [each["digest"] for each in top] == [index.report["digest"]]
    assert [each["platform"] for each in index.manifests] == [AMD64.oci, ARM.oci, ARM64.oci]
    reports = index.report["platforms"]
    assert [each["digest"] for each in index.manifests] == [reports[str(p)]["digest"] for p in (AMD64, ARM, ARM64)]


def test_images_of_an_index_were_started_and_answered_each_on_its_own_processor(index: Built) -> None:
    started = [line.split() for line in index.said.splitlines() if line.split()[:2] == ["done", "run"]]
    assert [line[2] for line in started[1:]] == ["arm64", "arm-v7"], index.said


def test_platforms_share_the_layer_that_has_no_programs_and_only_that(index: Built) -> None:
    layers = [
        {each["name"]: each["digest"] for each in found["layers"]} for found in index.report["platforms"].values()
    ]
    assert len({each["application"] for each in layers}) == 1
    assert len({each["base"] for each in layers}) == len(layers)


@pytest.mark.parametrize("platform", [AMD64, ARM64, ARM], ids=str)
def test_each_program_and_package_of_an_image_is_for_its_platform(
    index: Built, tmp_path: Path, platform: platforms.Platform
) -> None:
    root = index.root(platform, tmp_path / "root")
    found = [path.read_bytes()[:64] for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {machine for each in found if (machine := elf.machine(each))} == {platform.elf}
    components = json.loads((index.out / f"sbom/distroless-{platform.slug}.cdx.json").read_text())["components"]
    purls = [each["purl"] for each in components if "pkg:deb" in each.get("purl", "")]
    assert {purl.partition("arch=")[2].partition("&")[0] for purl in purls} == {platform.debian, "all"}


@pytest.mark.parametrize("platform", [AMD64, ARM64, ARM], ids=str)
def test_strangers_read_each_manifest_of_an_index(index: Built, tmp_path: Path, platform: platforms.Platform) -> None:
    home = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    skopeo = [*toolbox.program("skopeo"), "--insecure-policy"]
    raw = json.loads(toolbox.run([*skopeo, "inspect", "--raw", f"oci:{index.layout}"], home).stdout)
    assert raw["manifests"] == index.manifests
    chosen = ["--override-arch", platform.architecture, "--override-variant", platform.variant]
    one = tmp_path / "one"
    toolbox.run([*skopeo, *chosen, "copy", f"oci:{index.layout}", f"oci:{one}:one"], home)
    manifest = json.loads((one / "index.json").read_text())["manifests"][0]["digest"]
    assert manifest == index.report["platforms"][str(platform)]["digest"]
    umoci = [*toolbox.program("umoci"), "unpack", "--rootless", "--image", f"{one}:one"]
    toolbox.run([*umoci, str(tmp_path / "bundle")], home)
    assert elf.machine((tmp_path / "bundle/rootfs/usr/bin/python3.13").read_bytes()) == platform.elf


def test_trivy_and_the_sbom_were_asked_of_each_image_of_an_index(index: Built) -> None:
    for platform in (AMD64, ARM64, ARM):
        report = json.loads((index.out / f"scan/distroless-{platform.slug}.json").read_text())["Metadata"]
        assert report["ImageConfig"]["architecture"] == platform.architecture
        assert report["ImageConfig"].get("variant", "") == platform.variant
        assert report["OS"]["Family"] == "debian"
        sbom = json.loads((index.out / f"sbom/distroless-{platform.slug}.cdx.json").read_text())
        assert sbom["compositions"][0]["aggregate"] == "complete"


def test_an_index_is_released_and_verified_with_each_of_its_images(
    index: Built, new_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    key_files(tmp_path)
    (tmp_path / "policy.toml").write_text('[[signer]]\nkey = "key.pub"\n[sbom]\nrequired = true\n')
    env, to = environment(tmp_path, new_registry, certificates), f"{new_registry.host}/of/real-platforms"
    words = ["--project", index.project, "--from", index.out, "--target", "distroless", "--tag", "1", "--to", to]
    words += [
        "--key",
        tmp_path / "key.pem",
        "--accept-incomplete-scan",
        "there is no database here",
        "--legacy-signatures",
    ]
    done = command("release", *words, "--json", **env)
    assert done.returncode == 0, done.stderr
    digests = {index.report["digest"], *(each["digest"] for each in index.manifests)}
    checked = command("verify", f"{to}:1", "--policy", tmp_path / "policy.toml", "--json", **env)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert set(json.loads(checked.stdout)["checks"]) == digests
    cosign = [*toolbox.program("cosign"), "verify", "--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true"]
    for digest in digests:
        toolbox.run([*cosign, f"{to}@{digest}"], env)


def test_an_image_is_the_same_alone_and_in_an_index(index: Built, tmp_path: Path) -> None:
    done = built(index.project, "--target", "distroless", "--output", str(tmp_path / "alone"), "--no-run")
    assert done.returncode == 0, done.stderr[-3000:]
    alone = json.loads((tmp_path / "alone/build.json").read_text())["images"]["distroless"]
    assert alone["digest"] == index.report["platforms"]["linux/amd64"]["digest"]


def test_an_image_with_a_program_for_another_machine_is_refused(plain: Path, build: Build) -> None:
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little") + (183).to_bytes(2, "little") + bytes(60)
    (plain / "hello/other.so").write_bytes(header)
    done = build(plain, "--target", "distroless", "--no-run", "--no-scan")
    assert done.returncode == 1
    assert "app/hello/other.so is for another machine (ELF 64/183) than the image's (64/62)" in done.stderr
    assert not (plain / "dist").exists()
