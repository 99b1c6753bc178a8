"""The images that `make build` left in dist/: what is in them, what is not, and other people's programs that read them."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from images.compare import manifest_of, read
from images.debian import lock
from images.digest import Digest
from images.validate import validate
from pipelines import config
from tests.parts import toolbox
from tests.parts.trivy import scanner

HERE = Path(__file__).resolve().parents[2]
DIST = HERE / "dist"
MOST = {"distroless": 120e6, "standard": 200e6}
TARGETS = pytest.mark.parametrize("target", sorted(MOST))


@pytest.fixture(autouse=True)
def built() -> None:
    if not (DIST / "build.json").is_file():
        pytest.skip("dist/ holds no images; make build makes them")


def _config(target: str) -> dict[str, Any]:
    _, manifest = manifest_of(DIST / target)
    found: dict[str, Any] = json.loads(read(DIST / target, manifest["config"]["digest"]))
    return found


def _entries(target: str) -> dict[str, tarfile.TarInfo]:
    """What an image holds, by path, upper layers over lower ones."""
    found: dict[str, tarfile.TarInfo] = {}
    _, manifest = manifest_of(DIST / target)
    for layer in manifest["layers"]:
        with tarfile.open(DIST / target / "blobs/sha256" / Digest.parse(layer["digest"]).hex, "r:gz") as tar:
            found.update({info.name: info for info in tar})
    return found


@TARGETS
def test_every_digest_of_a_layout_is_what_its_bytes_give(target: str) -> None:
    report = json.loads((DIST / "build.json").read_text())
    assert validate(DIST / target) == report["images"][target]["digest"]


@TARGETS
def test_an_image_stays_within_its_budget(target: str) -> None:
    assert sum(info.size for info in _entries(target).values()) <= MOST[target]


@TARGETS
def test_nothing_in_an_image_gains_rights_or_can_be_written_by_its_user(target: str) -> None:
    entries = _entries(target)
    assert [name for name, info in entries.items() if info.mode & 0o6000] == []
    volumes = [place.lstrip("/") for place in config.read(HERE).volumes]
    assert [name for name, info in entries.items() if (info.uid, info.gid) != (0, 0)] == volumes
    assert [name for name in entries if name.startswith(tuple(f"{place}/" for place in volumes))] == []
    writable = [name for name, info in entries.items() if info.mode & 0o022 and not info.issym()]
    assert writable == ["tmp"]


def test_the_distroless_image_has_no_shell_package_manager_or_compiler() -> None:
    programs = {Path(name).name for name in _entries("distroless") if re.search(r"(^|/)s?bin/", name)}
    unwanted = {"sh", "bash", "dash", "busybox", "dpkg", "apt", "apt-get", "pip", "pip3", "gcc", "cc", "ld", "as"}
    assert programs & unwanted == set()
    assert {"python3.13", "tini", "uvicorn"} <= programs


def test_the_standard_image_has_the_distroless_layers_and_a_shell() -> None:
    layers = {target: [layer["digest"] for layer in manifest_of(DIST / target)[1]["layers"]] for target in MOST}
    assert [digest for digest in layers["standard"] if digest in layers["distroless"]] == layers["distroless"]
    assert {"usr/bin/bash", "usr/bin/curl", "usr/bin/ps", "usr/bin/ls"} <= set(_entries("standard"))


@TARGETS
def test_every_locked_package_is_on_record_with_its_version(target: str) -> None:
    locked = {p.name: p.version for p in lock.read(HERE / f"bases/{target}.lock").packages}
    if target == "standard":
        locked |= {p.name: p.version for p in lock.read(HERE / "bases/distroless.lock").packages}
    _, manifest = manifest_of(DIST / target)
    recorded = {}
    for layer in manifest["layers"]:
        with tarfile.open(DIST / target / "blobs/sha256" / Digest.parse(layer["digest"]).hex, "r:gz") as tar:
            for info in tar:
                if not info.name.startswith("var/lib/dpkg/status.d/") or info.name.endswith(".md5sums"):
                    continue
                if (file := tar.extractfile(info)) is not None:
                    fields = dict(line.partition(": ")[::2] for line in file.read().decode().splitlines())
                    recorded[fields["Package"]] = fields["Version"]
    assert recorded == locked


@TARGETS
def test_an_image_runs_as_its_user_under_tini_with_a_health_check(target: str) -> None:
    config = _config(target)["config"]
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert config["Cmd"][:4] == ["python3", "-m", "cift.uvicorn", "cift.api.main:app"]
    assert config["Cmd"][config["Cmd"].index("--workers") + 1] == "4" and "--no-access-log" in config["Cmd"]
    expected = {"PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONFAULTHANDLER=1", "PYTHONHASHSEED=random"}
    assert expected <= set(config["Env"])
    assert config["Healthcheck"]["Test"] == ["CMD", "python3", "-m", "cift.health"]
    assert {"org.opencontainers.image.title", "org.opencontainers.image.revision"} <= set(config["Labels"])


@TARGETS
def test_skopeo_reads_the_layout(target: str) -> None:
    done = toolbox.run([*toolbox.program("skopeo"), "inspect", f"oci:{DIST / target}"], {"HOME": "/nonexistent"})
    said = json.loads(done.stdout)
    assert said["Digest"] == manifest_of(DIST / target)[0]
    assert (said["Os"], said["Architecture"]) == ("linux", "amd64")


def test_umoci_unpacks_the_layout_without_root(tmp_path: Path) -> None:
    name = json.loads((DIST / "distroless/index.json").read_text())["manifests"][0]["annotations"][
        "org.opencontainers.image.ref.name"
    ]
    # umoci's command line takes what follows the last colon for the tag, so that the reference must not have one.
    copy = tmp_path / "layout"
    toolbox.run(
        [
            *toolbox.program("skopeo"),
            "--insecure-policy",
            "copy",
            f"oci:{DIST / 'distroless'}:{name}",
            f"oci:{copy}:one",
        ],
        {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    words = [*toolbox.program("umoci"), "unpack", "--rootless", "--image", f"{copy}:one", str(tmp_path / "bundle")]
    toolbox.run(words, {"HOME": str(tmp_path)})
    assert (tmp_path / "bundle/rootfs/usr/bin/python3.13").is_file()
    config = json.loads((tmp_path / "bundle/config.json").read_text())
    assert config["process"]["user"]["uid"] == 1000


def test_trivy_lists_every_debian_package_of_the_layout(tmp_path: Path) -> None:
    trivy = scanner()
    report = tmp_path / "report.json"
    words = [str(trivy), "image", "--quiet", "--input", str(DIST / "distroless"), "--scanners", "secret"]
    words += ["--list-all-pkgs", "--skip-db-update", "--offline-scan", "--skip-version-check", "--disable-telemetry"]
    words += ["--cache-dir", str(tmp_path / "cache"), "--format", "cyclonedx", "--output", str(report)]
    subprocess.run(words, check=True, capture_output=True, timeout=180)
    purls = [component.get("purl", "") for component in json.loads(report.read_text())["components"]]
    listed = {re.sub(r"^pkg:deb/debian/([^@]+)@.*", r"\1", purl) for purl in purls if purl.startswith("pkg:deb/")}
    locked = {package.name for package in lock.read(HERE / "bases/distroless.lock").packages}
    assert {name.replace("%2B", "+") for name in listed} == locked
