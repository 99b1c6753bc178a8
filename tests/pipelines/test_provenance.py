"""Provenance: everything that a build took in, with digests, and what of it a second build says again."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.debian import lock
from pipelines import config, materials, source
from pipelines.materials import Taken
from pipelines.platforms import NATIVE, PLATFORMS
from sbom import provenance, statements
from sbom.python import normal
from tests.conftest import HERE

Build = Callable[..., subprocess.CompletedProcess[str]]
ROOTS = {"distroless": ("python-builder", "rust-builder", "distroless"), "standard": ("python-builder", "rust-builder", "distroless", "standard")}  # fmt: skip
WHEELS = '[{"name": "maturin", "version": "1.0", "file": "m.whl", "sha256": "' + "a" * 64 + '"}]'


@pytest.fixture(scope="module")
def taken() -> Taken:
    """What a build of this project takes in; the wheels of one stage are given."""
    project = config.read(HERE)
    return materials.take(project, source.read(HERE, HERE / "dist"), {"rust builder": WHEELS}, PLATFORMS[NATIVE])


def dependencies(taken: Taken, target: str) -> dict[str, dict[str, Any]]:
    """The resolved dependencies of a target, by URI, as they are written."""
    made = provenance.Definition({}, {}, taken.of(target))
    said = provenance.statement("sha256:" + "b" * 64, made, provenance.Run("x", {}, "", ""))
    return {each["uri"]: each for each in json.loads(statements.encode(said))["predicate"]["buildDefinition"]["resolvedDependencies"]}  # fmt: skip


@pytest.mark.parametrize("target", sorted(ROOTS))
def test_every_debian_package_is_there_with_the_signature_chain_of_its_archive(taken: Taken, target: str) -> None:
    found = dependencies(taken, target)
    digests = {each["digest"]["sha256"]: each for each in found.values() if "sha256" in each.get("digest", {})}
    for name in ROOTS[target]:
        locked = lock.read(HERE / f"bases/{name}.lock")
        for package in locked.packages:
            said = digests[package.sha256]
            assert said["name"] == package.name and said["annotations"]["path"] == package.path
            # Its archive's index names it, and the release that is signed names the index.
            indexes = [e for e in locked.indexes if e.archive == package.archive]
            assert indexes, package.name
            for index in indexes:
                assert digests[index.index]["annotations"]["release"] == f"sha256:{index.release}"
                release = digests[index.release]
                assert release["annotations"]["signed"] == "OpenPGP"
                assert release["annotations"]["archiveTimestamp"] == index.timestamp
                assert release["name"].startswith(f"{package.archive} ")
    only = {p.sha256 for p in lock.read(HERE / "bases/standard.lock").packages}
    only -= {p.sha256 for n in ROOTS["distroless"] for p in lock.read(HERE / f"bases/{n}.lock").packages}
    assert (only & digests.keys() == only) == (target == "standard")


def test_crates_tools_and_the_first_program_are_there_with_their_digests(taken: Taken) -> None:
    found = dependencies(taken, "distroless")
    packages = tomllib.loads((HERE / "rust_core/Cargo.lock").read_text())["package"]
    for crate in packages:
        if "checksum" in crate:
            assert found[f"pkg:cargo/{crate['name']}@{crate['version']}"]["digest"] == {"sha256": crate["checksum"]}
    assert found["pkg:pypi/maturin@1.0?file_name=m.whl"]["digest"] == {"sha256": "a" * 64}
    seed = lock.read(HERE / "bases/sandbox.lock").package("busybox-static")
    assert [e["annotations"]["stages"] for e in found.values() if e.get("digest", {}).get("sha256") == seed.sha256] == [["seed"]]  # fmt: skip
    assert [uri for uri, each in found.items() if not each.get("digest") and "dirty" not in each["annotations"]] == []


def test_two_builds_of_one_commit_have_one_definition_and_each_its_own_run(plain: Path, build: Build) -> None:
    said = []
    for _ in range(2):
        done = build(plain, "--no-run", "--no-scan", "--target", "distroless")
        assert done.returncode == 0, done.stderr[-2000:]
        said.append(json.loads((plain / "dist/provenance/distroless.json").read_text()))
    one, other = (each["predicate"] for each in said)
    assert one["buildDefinition"] == other["buildDefinition"] and said[0]["subject"] == said[1]["subject"]
    assert one["runDetails"]["metadata"]["startedOn"] != other["runDetails"]["metadata"]["startedOn"]
    # Every wheel of the requirements, by the hash that is locked.
    text = (plain / "requirements.txt").read_text()
    wheels = {e["name"]: e["digest"]["sha256"] for e in one["buildDefinition"]["resolvedDependencies"] if e["uri"].startswith("pkg:pypi/")}  # fmt: skip
    assert set(wheels) == {normal(line.split("==")[0]) for line in text.splitlines() if "==" in line}
    assert all(digest in text for digest in wheels.values())
    # The revision that was built, and no more than a machine of one's own can claim.
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=plain, capture_output=True, text=True, check=True)
    commits = [e["digest"].get("gitCommit") for e in one["buildDefinition"]["resolvedDependencies"]]
    assert head.stdout.strip() in commits
    assert one["runDetails"]["metadata"]["pipelines_claimedBuildLevel"] == 1
    assert one["runDetails"]["builder"]["id"] == provenance.LOCAL_BUILDER
