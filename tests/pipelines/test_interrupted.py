"""A release that a registry stops at any of its writes: no tag points at something incomplete, and the next run finishes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines import release, verify
from tests.parts.certificates import Certificates
from tests.parts.outside import environment
from tests.parts.proxy import Fault
from tests.parts.registries import Registry
from tests.parts.released import POLICY, REVISION, dist, key_files

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
WRITES = r"^(POST|PATCH|PUT) "
REFUSALS = (
    (Fault(WRITES, -1, status=429, headers={"Retry-After": "3600"}), "run the same again later"),
    (Fault(WRITES, -1, status=403), "403"),
)


class Releases:
    """Releases of one build to two registries, in this process."""

    def __init__(self, folder: Path, one: Registry, other: Registry, certificates: Certificates) -> None:
        self.folder = folder
        self.registries: tuple[Registry, ...] = (one, other)
        self.root = dist(folder / "dist", 95, NOW)
        key_files(folder)
        (folder / "policy.toml").write_text(POLICY.format(revision=REVISION))
        self.environment = environment(folder, one, certificates, other)

    def to(self, path: str) -> list[str]:
        return [f"{each.host}/{path}" for each in self.registries]

    def run(self, path: str) -> int:
        words = [
            "--from",
            self.folder / "dist",
            "--target",
            "distroless",
            "--tag",
            "1",
            "--key",
            self.folder / "key.pem",
        ]
        words += ["--output", self.folder / path, "--json", *(w for each in self.to(path) for w in ("--to", each))]
        return release.main([str(word) for word in words])

    def verdict(self, place: str) -> int:
        return verify.main([place, "--policy", str(self.folder / "policy.toml")])


@pytest.fixture
def releases(
    plain_registry: Registry,
    new_registry: Registry,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Releases:
    made = Releases(tmp_path, plain_registry, new_registry, certificates)
    for name in ("DOCKER_CONFIG", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, made.environment[name])
    return made


@pytest.mark.parametrize("which", [0, 1], ids=["without referrers API", "with referrers API"])
def test_a_release_that_is_stopped_at_any_write_leaves_no_tag_and_is_finished_by_the_next(
    releases: Releases, capsys: pytest.CaptureFixture[str], which: int
) -> None:
    one = releases.registries[which]
    releases.registries = (one,)
    assert releases.run(f"whole/{which}") == 0
    attached = json.loads(capsys.readouterr().out)["images"]["distroless"]["attached"]
    writes = len(one.proxy.seen(WRITES + f"/v2/whole/{which}/"))
    assert writes > 30
    # Some way in, in the middle of what is attached, and the last of all, which is the tag.
    for number in (writes // 5, writes * 3 // 5, writes - 1):
        path = f"stopped/{which}-{number}"
        (place,) = releases.to(path)
        fault, says = REFUSALS[number % len(REFUSALS)]
        one.proxy.faults[:] = [Fault(**{**vars(fault), "after": number})]
        assert releases.run(path) == 1, number
        one.proxy.faults.clear()
        told = capsys.readouterr().err
        (error,) = [line for line in told.splitlines() if line.startswith("release: ")]
        assert says in error and "Traceback" not in told
        assert releases.verdict(f"{place}:1") == verify.UNREACHABLE, number
        capsys.readouterr()
        assert releases.run(path) == 0, number
        assert json.loads(capsys.readouterr().out)["images"]["distroless"]["attached"] == attached
        assert releases.verdict(f"{place}:1") == verify.ACCEPTED


def test_nothing_is_signed_that_a_registry_gives_back_otherwise(
    releases: Releases, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = releases.registries[0].proxy
    for name, fault in (
        ("flip", Fault("GET .*manifests/sha256", -1, flip=True)),
        ("lost", Fault("HEAD .*blobs/sha256", -1, after=3 * 2, status=404)),
    ):
        plain.faults[:] = [fault]
        assert releases.run(f"odd/{name}") == 1
        plain.faults.clear()
        told = capsys.readouterr().err
        assert ("what came has digest" if name == "flip" else "is not there although the registry took it") in told
        # The image alone was sent; no blob of it is a signature, neither there nor here.
        assert not list((releases.folder / f"odd/{name}").rglob("sha256/*"))
        for registry in releases.registries:
            manifests = registry.proxy.seen(f"^PUT /v2/odd/{name}/manifests/")
            assert {path.rpartition("/")[2] for _, path, _ in manifests} <= {str(releases.root.digest)}


def test_a_second_repository_of_a_registry_mounts_what_the_first_has(
    releases: Releases, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = releases.registries[0]
    monkeypatch.setattr(releases, "registries", (plain, plain))
    monkeypatch.setattr(releases, "to", lambda path: [f"{plain.host}/{path}/{name}" for name in ("one", "two")])
    assert releases.run("mounted/by") == 0
    told = capsys.readouterr().err
    assert told.count("blob ") and all("mounted" in line for line in told.splitlines() if "by/two: blob" in line)
