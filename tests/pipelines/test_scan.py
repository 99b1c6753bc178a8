"""The scan of a build for real: Trivy, a database of advisories that the tests wrote, exceptions, secrets, mirrors."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from images.manifest import MANIFEST, descriptor, encode
from registry import content, copy, reference
from registry.layout import Layout
from registry.remote import Remote
from tests.conftest import HERE
from tests.parts import advisories
from tests.parts.advisories import Advisory, Debian
from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.outside import environment
from tests.parts.registries import Registry, settings
from tests.parts.sample import add, image
from tests.parts.trivy import scanner
from tests.pipelines.conftest import environment as surroundings

Build = Callable[..., subprocess.CompletedProcess[str]]
OLD = "h11==0.14.0 --hash=sha256:e3fe4ac4b851c468cc8363d500db52c2ead036020723024a109d37346efaa761\n"
HOLE = "CVE-2025-43859"
# In pieces, so that this file holds no secret of any form.
SECRET = "AKIA" + "QYLPMN5HHHFPZAM2"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    holes = [Advisory(HOLE, "h11", "0.16.0", "CRITICAL"), Advisory("CVE-2030-2", "click", "", "HIGH")]
    return advisories.database(tmp_path_factory.mktemp("advisories"), holes, [Debian("CVE-2030-3", "zlib", "high")])


@pytest.fixture
def vulnerable(plain: Path) -> Path:
    """The plain project with an old wheel, against which there is an advisory."""
    text = (plain / "requirements.txt").read_text()
    (plain / "requirements.txt").write_text(text[: text.index("h11==")] + OLD + text[text.index("uvicorn==") :])
    table = (plain / "pyproject.toml").read_text()
    (plain / "pyproject.toml").write_text(
        table.replace("port = 9000\n", 'port = 9000\nexceptions = "exceptions.toml"\n')
    )
    (plain / "exceptions.toml").write_text("")
    return plain


def verdict(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "dist/scan/verdict.json").read_text())
    return found


def again(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(HERE / "pipelines/gate.py"), str(project / "dist"), *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def day(after: int) -> str:
    return (datetime.now(UTC) + timedelta(days=after)).date().isoformat()


def test_a_hole_and_a_secret_are_found_and_an_exception_passes_until_its_date(
    vulnerable: Path, build: Build, database: Path
) -> None:
    words = ("--no-run", "--target", "distroless", "--scan-database", str(database))
    settings_file = vulnerable / "hello/settings.py"
    settings_file.write_text(f'key = "{SECRET}"\n')
    found = build(vulnerable, *words)
    assert found.returncode == 3, found.stderr[-3000:]
    assert f"{HOLE} (critical) in h11 0.14.0, fixed in 0.16.0" in found.stderr
    assert "aws-access-key-id (critical) in hello/settings.py:1" in found.stderr
    told = verdict(vulnerable)
    assert SECRET not in json.dumps(told), "a verdict is published"
    holes = {(f["target"], f["id"], f["outcome"]) for f in told["findings"] if f["kind"] == "vulnerability"}
    assert {("source", HOLE, "fails"), ("distroless", HOLE, "fails")} <= holes
    # High, and not fixed by anybody: the policy lets it pass.
    assert {("distroless", "CVE-2030-2", "tolerated"), ("distroless", "CVE-2030-3", "tolerated")} <= holes
    assert told["inputs"]["database"]["digest"] == _digest((database / "trivy.db").read_bytes())
    for target in ("source", "distroless"):
        assert json.loads((vulnerable / f"dist/scan/{target}.sarif").read_text())["version"] == "2.1.0"

    settings_file.unlink()
    exception = f'[[exception]]\nid = "{HOLE}"\npackage = "pkg:pypi/h11@0.14.0"\nreason = "behind a proxy"\nowner = "ada@example.org"\nuntil = '
    justified = 'justification = "vulnerable_code_cannot_be_controlled_by_adversary"\n'
    (vulnerable / "exceptions.toml").write_text(f"{exception}{day(1)}\n{justified}")
    passed = build(vulnerable, *words)
    assert passed.returncode == 0, passed.stderr[-3000:]
    assert verdict(vulnerable)["verdict"] == "pass"
    assert {f["outcome"] for f in verdict(vulnerable)["findings"] if f["id"] == HOLE} == {"excepted"}
    _trivy_follows_the_vex(vulnerable / "dist", database)
    # The verdict is repeated from what stands in it, and by another clock it is another one.
    for at, code in (((), 0), (("--at", day(1)), 0), (("--at", day(2)), 1), (("--at", day(30)), 1)):
        assert again(vulnerable, *at).returncode == code, at
    assert f"its exception ended on {day(1)}" not in again(vulnerable).stdout

    (vulnerable / "exceptions.toml").write_text(f"{exception}{day(-1)}\n{justified}")
    ended = build(vulnerable, *words)
    assert ended.returncode == 3, ended.stderr[-3000:]
    assert f"ended on {day(-1)}" in ended.stderr and HOLE in ended.stderr
    assert json.loads((vulnerable / "dist/vex/distroless.openvex.json").read_text())["statements"] == []
    _changes_are_found(vulnerable)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _trivy_follows_the_vex(dist: Path, database: Path) -> None:
    """Trivy itself, over our SBOM: the hole is there, and gone with either VEX document."""

    def holes(*words: str) -> set[str]:
        out = dist.parent / "trivy.json"
        alone = ["--skip-db-update", "--offline-scan", "--skip-version-check", "--disable-telemetry", "--quiet"]
        told = [
            "sbom",
            str(dist / "sbom/distroless.cdx.json"),
            "--scanners",
            "vuln",
            "--format",
            "json",
            "--output",
            str(out),
        ]
        subprocess.run(
            [str(scanner()), *told, *alone, "--cache-dir", str(database.parent), *words], check=True, timeout=120
        )
        results = json.loads(out.read_text()).get("Results") or []
        return {v["VulnerabilityID"] for r in results for v in r.get("Vulnerabilities") or ()}

    assert holes() == {HOLE, "CVE-2030-2", "CVE-2030-3"}
    for name in ("openvex", "cdx"):
        assert holes("--vex", str(dist / f"vex/distroless.{name}.json")) == {"CVE-2030-2", "CVE-2030-3"}, name


def _changes_are_found(project: Path) -> None:
    place = project / "dist/scan/verdict.json"
    whole = json.loads(place.read_text())
    place.write_text(json.dumps({**whole, "verdict": "pass"}))
    done = again(project)
    assert done.returncode == 2 and "its own inputs give 'fail'" in done.stderr
    kept = [f for f in whole["findings"] if f["id"] != HOLE]
    place.write_text(json.dumps({**whole, "verdict": "pass", "findings": kept, "reasons": [], "reason": ""}))
    assert again(project).returncode == 2
    place.write_text(json.dumps(whole))
    report = project / "dist/scan/distroless.json"
    report.write_text(report.read_text() + " ")
    done = again(project)
    assert done.returncode == 2 and "not the report that was judged" in done.stderr


def test_a_database_that_is_absent_old_or_broken_leaves_the_build_incomplete_and_says_so(
    plain: Path, build: Build, database: Path, tmp_path: Path
) -> None:
    words = ("--no-run", "--target", "distroless", "--scan-database")
    other = tmp_path / "other"
    for problem, says in (
        ("absent", "a folder holds no trivy.db"),
        ("old", "the vulnerability database is 4.0 days old, and 3 are allowed"),
        ("broken", "Trivy cannot use the one of a folder"),
    ):
        if problem != "absent":
            other.mkdir(exist_ok=True)
            metadata = json.loads((database / "metadata.json").read_text())
            metadata["UpdatedAt"] = (datetime.now(UTC) - timedelta(days=4)).isoformat()
            (other / "metadata.json").write_text(json.dumps(metadata))
            data = (database / "trivy.db").read_bytes()
            (other / "trivy.db").write_bytes(data if problem == "old" else data[:100])
        done = build(plain, *words, str(other))
        assert done.returncode == 0, done.stderr[-3000:]
        assert "SCAN INCOMPLETE" in done.stderr and says in done.stderr, done.stderr[-3000:]
        assert verdict(plain)["verdict"] == "incomplete"
        assert again(plain).returncode == 3
        # Who types it is told of the folder; who reads what is signed is not.
        assert (f"{other} holds no trivy.db" in done.stderr) == (problem == "absent")
        assert str(tmp_path) not in json.dumps(verdict(plain))


def test_the_database_comes_from_a_mirror_that_asks_for_a_password(
    plain: Path, build: Build, database: Path, plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    mirror = f"{plain_registry.host}/mirror/trivy-db"
    with Remote(reference.repository(mirror), settings(plain_registry, certificates)).for_writing() as remote:
        root, layout = _as_trivy_publishes_it(database, tmp_path / "layout")
        copy.send(copy.graph(layout, root.descriptor), layout, remote)
        remote.tag("2", root)
    env = environment(tmp_path, plain_registry, certificates)
    ways = {key: env[key] for key in ("DOCKER_CONFIG", "SSL_CERT_FILE") if key in env}
    words = ("--no-run", "--target", "distroless")
    done = build(plain, *words, TRIVY_DB_REPOSITORY=f"{mirror}:2", PIPELINES_SCAN_DATABASE="", **ways)
    assert done.returncode == 0, done.stderr[-3000:]
    told = verdict(plain)
    assert told["verdict"] == "pass", told["reasons"]
    assert told["inputs"]["database"]["digest"] == _digest((database / "trivy.db").read_bytes())
    assert told["inputs"]["database"]["source"] == f"{mirror}:2"


@pytest.mark.parametrize(
    ("mirror", "login", "says"),
    [
        ("no-such-host.invalid/trivy-db:2", True, "its name is not known here"),
        ("127.0.0.1:9/trivy-db:2", True, "it cannot be reached"),
        ("{}/no/such/database:2", True, "there is no such database"),
        ("{}/no/such/login:2", False, "the login is missing, or refused"),
    ],
)
def test_a_mirror_that_fails_is_told_in_words_that_are_the_same_on_every_machine(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, mirror: str, login: bool, says: str
) -> None:
    image(tmp_path / "image", seed=90)
    ours, mirror = environment(tmp_path, plain_registry, certificates), mirror.format(plain_registry.host)
    (tmp_path / "nobody").mkdir()
    env = {**surroundings(), "TRIVY_DB_REPOSITORY": mirror, "PIPELINES_SCAN_DATABASE": "", "HOME": str(tmp_path)}
    env |= {"SSL_CERT_FILE": ours["SSL_CERT_FILE"], "DOCKER_CONFIG": ours["DOCKER_CONFIG"] if login else str(tmp_path / "nobody")}
    words = ("--engine", "embedded", "--output", tmp_path / "out", f"sample={tmp_path / 'image'}")
    done = command("rescan", *words, **env)
    assert done.returncode == 3, done.stderr[-2000:]
    told = json.loads((tmp_path / "out/scan/verdict.json").read_bytes())
    assert told["reasons"] == [f"there is no vulnerability database: {mirror}: {says}"]
    assert told["inputs"]["database"]["source"] == mirror
    # What was the matter here, in the program's own words, is shown and not kept.
    assert "note  vulnerability database: " in done.stderr
    assert told["inputs"]["database"]["problem"] == f"{mirror}: {says}"
    assert not re.search(r"dial|lookup|no such host|refused on", json.dumps(told))


def _as_trivy_publishes_it(database: Path, folder: Path) -> tuple[content.Manifest, Layout]:
    layout = Layout(folder, create=True)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("trivy.db", "metadata.json"):
            tar.add(database / name, name)
    layer, kind = gzip.compress(raw.getvalue(), mtime=0), "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
    empty = "application/vnd.oci.empty.v1+json"
    add(layout, layer, kind)
    add(layout, b"{}", empty)
    described = descriptor(kind, layer) | {"annotations": {"org.opencontainers.image.title": "db.tar.gz"}}
    made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(empty, b"{}"), "layers": [described]}
    value = content.manifest(encode(made))
    layout.put_manifest(value)
    return value, layout


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("exceptions.toml", "[[exception]]\nid = 'CVE-1'\n", "exceptions.toml: exception 1 (CVE-1) needs 'reason'"),
        ("exceptions.toml", "rubbish", "exceptions.toml: "),
        ("pyproject.toml", "\n[tool.pipelines.scan]\nfix = ['high']\n", "[tool.pipelines.scan] has no key 'fix'"),
        ("pyproject.toml", "\n[tool.pipelines.scan]\nfixed = ['nasty']\n", "must be a list of severities"),
    ],
)
def test_an_ill_formed_policy_or_exception_stops_a_build_before_any_work(
    vulnerable: Path, build: Build, name: str, text: str, says: str
) -> None:
    place = vulnerable / name
    place.write_text(place.read_text() + text)
    done = build(vulnerable)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr and "start" not in done.stdout
    assert not (vulnerable / "dist").exists()


def test_an_image_that_was_published_is_judged_by_the_advisories_of_today(
    vulnerable: Path, build: Build, database: Path, tmp_path: Path
) -> None:
    assert build(vulnerable, "--no-run", "--no-scan", "--target", "distroless").returncode == 0

    def rescan(image: str, where: Path | str) -> subprocess.CompletedProcess[str]:
        words = (
            "--engine",
            "embedded",
            "--project",
            vulnerable,
            "--output",
            tmp_path / "out",
            "--scan-database",
            where,
        )
        program = [sys.executable, HERE / "pipelines/rescan.py", image, *words]
        return subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)

    published = f"distroless={vulnerable}/dist/distroless"
    found = rescan(published, database)
    assert found.returncode == 1, found.stderr[-2000:]
    assert found.stdout.startswith("fail\n") and f"{HOLE} (critical) in h11 0.14.0" in found.stdout
    repeated = [sys.executable, HERE / "pipelines/gate.py", tmp_path / "out"]
    assert subprocess.run(repeated, capture_output=True, check=False, timeout=60).returncode == 1
    assert rescan(published, "none").returncode == 3
    gone = rescan(f"distroless={vulnerable}/nothing", database)
    assert gone.returncode == 2 and "\nrescan: " in gone.stderr
