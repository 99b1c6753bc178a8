"""explain: from a changed digest to the layer, the component, the line of the lock and the commit that wrote it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import explain, history, platforms
from pipelines.config import Project
from sbom.changes import ComponentChange
from tests.conftest import HERE

Build = Callable[..., subprocess.CompletedProcess[str]]
NEWER = (
    "h11==0.14.0 --hash=sha256:e3fe4ac4b851c468cc8363d500db52c2ead036020723024a109d37346efaa761",
    "h11==0.16.0 --hash=sha256:63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86",
)


def committed(folder: Path, subject: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run(["git", *who, "commit", "-qm", subject], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def explained(*words: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(HERE / "pipelines/explain.py"), *map(str, words)]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)


def test_an_edit_and_a_bump_are_led_back_to_their_commits(plain: Path, build: Build, tmp_path: Path) -> None:
    requirements = (plain / "requirements.txt").read_text()
    kept = re.sub(r"h11==.*?(?=uvicorn)", "{}\n", requirements, flags=re.DOTALL)
    (plain / "requirements.txt").write_text(kept.format(NEWER[0]))
    committed(plain, "the old h11")
    words = ("--no-run", "--no-scan", "--target", "distroless")
    assert build(plain, *words).returncode == 0
    old = tmp_path / "old"
    shutil.copytree(plain / "dist", old)

    (plain / "requirements.txt").write_text(kept.format(NEWER[1]))
    bump = committed(plain, "h11 is renewed")
    (plain / "hello/app.py").write_text((plain / "hello/app.py").read_text() + "\n# another word\n")
    edit = committed(plain, "another word in the application")
    done = build(plain, *words)
    assert done.returncode == 0, done.stderr[-2000:]

    found = explained(old, plain / "dist", "--project", plain, "--json")
    assert found.returncode == 1, found.stderr
    value = json.loads(found.stdout)
    layers = {layer["name"]: layer["components"] for layer in value["layers"]}
    assert set(layers) == {"dependencies", "application"}
    (h11,) = layers["dependencies"]
    assert (h11["change"]["name"], h11["change"]["old"], h11["change"]["new"]) == ("h11", "0.14.0", "0.16.0")
    (cause,) = h11["causes"]
    lines = (plain / "requirements.txt").read_text().splitlines()
    assert cause["file"] == "requirements.txt" and lines[cause["line"] - 1] == NEWER[1] == cause["text"]
    assert (cause["commit"]["id"], cause["commit"]["subject"]) == (bump, "h11 is renewed")
    (own,) = layers["application"]
    assert {f["path"] for f in own["change"]["files"]} >= {"app/hello/app.py"}
    assert [c["id"] for c in own["commits"]] == [edit]
    assert any(each["key"].endswith("image.revision") for each in value["config"])

    tree = explained(old, plain / "dist", "--project", plain).stdout
    for part in ("layer dependencies", "pypi h11: 0.14.0 → 0.16.0", bump[:12], edit[:12], "/app/hello/app.py"):
        assert part in tree, tree
    same = explained(plain / "dist", plain / "dist/distroless", "--project", plain)
    assert (same.returncode, same.stdout[:14]) == (0, "the same image")


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str, str]:
    """A repository whose locks were renewed in its second commit, and both commits."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, zlib, sha2 in (("first", "1:1.3-1", "0.10.8"), ("second", "1:1.3-2", "0.10.9")):
        (tmp_path / "bases").mkdir(exist_ok=True)
        (tmp_path / "rust").mkdir(exist_ok=True)
        gone = "package xz 5 amd64 debian 1 sha256:cc p\n" if name == "first" else ""
        (tmp_path / "bases/distroless.lock").write_text(
            f"# root\npackage bash 5 amd64 debian 1 sha256:aa p\n{gone}package zlib1g {zlib} amd64 debian 1 sha256:bb p\n"
        )
        (tmp_path / "rust/Cargo.lock").write_text(
            f'[[package]]\nname = "sha2-asm"\nversion = "1.0.0"\n\n[[package]]\nname = "sha2"\nversion = "{sha2}"\n'
        )
        committed(tmp_path, name)
    commits = subprocess.run(
        ["git", "log", "--format=%H"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    return tmp_path, commits[1], commits[0]


def _cause(repository: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, *change: str) -> explain.Explained:
    root, old, new = repository
    monkeypatch.setattr(explain, "HERE", root)
    project = Project(root, "x", (), "requirements.txt", (), rust="rust")
    span, native = history.Span(root, old, new), platforms.PLATFORMS[platforms.NATIVE]
    return explain._explained(ComponentChange(*change, ()), project, span, [old, new], native)


def test_a_debian_package_is_led_back_to_the_line_of_its_lock(
    repository: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cause,) = _cause(repository, monkeypatch, "deb", "zlib1g", "1:1.3-1", "1:1.3-2", "changed").causes
    assert (cause.file, cause.line, cause.gone) == ("bases/distroless.lock", 3, False)
    assert cause.text.startswith("package zlib1g 1:1.3-2 ")
    assert cause.commit and (cause.commit.id, cause.commit.author) == (repository[2], "Ada")
    (gone,) = _cause(repository, monkeypatch, "deb", "xz", "5", "", "removed").causes
    assert gone.gone and gone.line == 3 and gone.commit and gone.commit.id == repository[2]


def test_a_crate_is_led_back_to_its_version_in_the_cargo_lock(
    repository: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cause,) = _cause(repository, monkeypatch, "cargo", "sha2", "0.10.8", "0.10.9", "changed").causes
    assert (cause.file, cause.line, cause.text) == ("rust/Cargo.lock", 7, 'version = "0.10.9"')
    assert cause.commit and cause.commit.id == repository[2]


def test_what_no_commit_holds_yet_is_said_to_be_so(repository: tuple[Path, str, str]) -> None:
    root, old, _ = repository
    lock = root / "bases/distroless.lock"
    lock.write_text(lock.read_text().replace("bash 5", "bash 6"))
    cause = history.Span(root, old, "").line("bases/distroless.lock", lambda text: 2 if text else 0)
    assert cause and cause.text.startswith("package bash 6") and cause.commit
    assert (cause.commit.id, cause.commit.subject) == ("", "not committed yet")


@pytest.mark.parametrize(
    ("words", "says"), [(("/nonexistent", "."), "/nonexistent"), ((".", "."), "neither an image layout")]
)
def test_what_is_no_image_is_one_clear_error(words: tuple[str, str], says: str) -> None:
    done = explained(*words)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1
