"""What is wrong is named in one error; the exit code is not zero and the previous output stays."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from images.debian import lock, mirror
from images.errors import ImageError

HERE = Path(__file__).resolve().parents[2]

Build = Callable[..., subprocess.CompletedProcess[str]]
Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def kept(request: pytest.FixtureRequest) -> Path:
    """A previous output of the test's project, which must be there, and alone, when the test ends."""
    project: Path = request.getfixturevalue("clone" if "clone" in request.fixturenames else "plain")
    (project / "dist").mkdir()
    (project / "dist/kept").write_text("1")

    def check() -> None:
        assert [path.name for path in (project / "dist").iterdir()] == ["kept"]

    request.addfinalizer(check)
    return project / "dist"


@pytest.fixture(scope="session")
def online() -> None:
    """For tests of what an index answers, which no store can remember: it must be in reach."""
    try:
        locked = lock.read(HERE / "bases/sandbox.lock")
        package = locked.packages[0]
        url = mirror.mirrors(os.environ).url(package.archive, package.path, locked.timestamp(package.archive))[0]
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20).close()
    except (ImageError, OSError) as error:
        pytest.skip(f"the package indexes are out of reach: {error}")


def _error(done: subprocess.CompletedProcess[str]) -> str:
    """The one error of a build that failed."""
    assert done.returncode == 1, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    _, found, error = ("\n" + done.stderr).rpartition("\nbuild: ")
    assert found, done.stderr[-3000:]
    return error


def _replaced(path: Path, pattern: str, replacement: str) -> None:
    text = path.read_text()
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    path.write_text(changed)


def test_a_python_syntax_error_names_file_and_line(plain: Path, build: Build) -> None:
    (plain / "hello/app.py").write_text("\n\ndef broken(:\n")
    error = _error(build(plain, "--no-run"))
    assert "hello/app.py" in error and "line 3" in error and "SyntaxError" in error


def test_a_rust_syntax_error_names_file_and_line(clone: Path, build: Build) -> None:
    source = next(path for path in sorted((clone / "rust_core").rglob("*.rs")) if "\n#[pymodule]" in path.read_text())
    source.write_text("fn broken( {\n" + source.read_text())
    error = _error(build(clone, "--no-run"))
    assert re.search(rf"{source.relative_to(clone / 'rust_core')}:\d+", error), error


@pytest.mark.usefixtures("online")
def test_another_hash_in_the_requirements_names_the_requirement(plain: Path, build: Build) -> None:
    text = (plain / "requirements.txt").read_text()
    (plain / "requirements.txt").write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, text))
    error = _error(build(plain, "--no-run"))
    assert "click==8.5.1" in error and "hash" in error.lower()


@pytest.mark.usefixtures("online")
def test_another_hash_in_a_lock_of_packages_names_the_package(clone: Path, plain: Path, build: Build) -> None:
    _replaced(clone / "bases/python-builder.lock", r"(package zlib1g .*) sha256:[0-9a-f]{64}", r"\1 sha256:" + "0" * 64)
    error = _error(build(plain, "--no-run", toolkit=clone))
    assert "package zlib1g" in error and "bases/python-builder.lock" in error and "the lock was changed" in error


@pytest.mark.usefixtures("online")
def test_another_checksum_in_the_lock_of_crates_names_the_crate(clone: Path, build: Build) -> None:
    _replaced(
        clone / "rust_core/Cargo.lock", r'(name = "pyo3"\n(?:.*\n)*?checksum = )"[0-9a-f]{64}"', r'\1"' + "0" * 64 + '"'
    )
    error = _error(build(clone, "--no-run"))
    assert "pyo3" in error and "checksum" in error


@pytest.mark.usefixtures("online")
def test_a_package_that_is_gone_from_the_mirror_says_what_can_be_done(clone: Path, plain: Path, build: Build) -> None:
    _replaced(
        clone / "bases/python-builder.lock",
        r"(package zlib1g) (\S+) (.*) sha256:[0-9a-f]{64} (\S+)_amd64.deb",
        r"\1 \2 \3 sha256:" + "0" * 64 + r" \4+gone_amd64.deb",
    )
    error = _error(build(plain, "--no-run", toolkit=clone))
    assert "package zlib1g" in error and "404" in error and "DEBIAN_SNAPSHOT" in error and "make lock" in error


def test_a_mirror_that_does_not_answer_is_named(plain: Path, build: Build, tmp_path: Path) -> None:
    error = _error(build(plain, DEBIAN_MIRROR="http://127.0.0.1:9/debian", XDG_CACHE_HOME=str(tmp_path / "cache")))
    assert "127.0.0.1:9" in error and "DEBIAN_MIRROR" in error


def test_a_requirement_without_a_hash_is_named(plain: Path, build: Build) -> None:
    with (plain / "requirements.txt").open("a") as file:
        file.write("six==1.17.0\n")
    assert "six==1.17.0 has no hash" in _error(build(plain))


def test_an_unknown_platform_is_told_the_known_ones(plain: Path, build: Build) -> None:
    assert "unknown platform 'linux/mips'; known are: linux/amd64" in _error(build(plain, "--platform", "linux/mips"))


def test_a_project_without_git_is_told_what_to_do(plain: Path, build: Build) -> None:
    shutil.rmtree(plain / ".git")
    assert "git init" in _error(build(plain))


def test_a_store_that_cannot_be_written_is_named(plain: Path, build: Build) -> None:
    error = _error(build(plain, XDG_CACHE_HOME="/proc/nowhere"))
    assert "/proc/nowhere" in error and "XDG_CACHE_HOME" in error


def test_a_machine_that_forbids_user_namespaces_is_told_what_to_allow(plain: Path, build: Build) -> None:
    within = ("unshare", "--user", "--map-root-user", "sh", "-c")
    if subprocess.run([*within, "true"], check=False).returncode:
        pytest.skip("the limit is set within a user namespace, and this machine allows none")
    # A module that no store knows yet, so that a step has to run.
    (plain / "hello/new.py").write_text(f"at = {time.time_ns()}\n")
    forbidden = (*within, 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh")
    error = _error(build(plain, "--no-run", within=forbidden))
    assert "forbids user namespaces" in error and "--engine dagger" in error


def test_an_output_on_a_full_disk_is_named(plain: Path, build: Build, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=False).returncode:
        pytest.skip("a file system that is too small can only be mounted by root")
    try:
        error = _error(build(plain, "--no-run", "--output", str(place / "dist")))
        assert str(place) in error and "No space left" in error
        assert [path.name for path in place.iterdir()] == [".dist.lock"]
    finally:
        subprocess.run(["umount", place], check=True)


def _slow(project: Path) -> None:
    """A module that takes the byte-compiler a while, and another while at each run."""
    (project / "hello/slow.py").write_text(
        f"x = [{os.getpid()}, {time.time_ns()}]\n" + "y = [" + "1+x[0]," * 400_000 + "]\n"
    )


def _wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout is not None
    for text in process.stdout:
        if line in text:
            return
    pytest.fail(f"the build never said {line!r}")


def test_an_interrupted_build_says_so_and_the_next_one_ends_well(plain: Path, build: Build, started: Started) -> None:
    _slow(plain)
    process = started(plain, "--no-run")
    _wait_for(process, "start  application")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "build: interrupted" in said and "Traceback" not in said
    (plain / "hello/slow.py").unlink()
    assert build(plain, "--no-run", "--output", str(plain / "other")).returncode == 0


def test_a_killed_build_leaves_no_process_and_the_next_one_ends_well(
    plain: Path, build: Build, started: Started
) -> None:
    _slow(plain)
    other = ("--no-run", "--output", str(plain / "other"))
    process = started(plain, *other)
    _wait_for(process, "start  application")
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while left := subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True).stdout.split():
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    (plain / "hello/slow.py").unlink()
    done = build(plain, *other)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [p.name for p in plain.iterdir() if p.name.startswith(".other.new")] == []


def test_the_help_shows_examples_and_exit_codes() -> None:
    words = [sys.executable, "pipelines/build.py", "--help"]
    text = subprocess.run(
        words, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, check=True
    ).stdout
    assert "dagger run python pipelines/build.py" in text and "exit codes" in text
