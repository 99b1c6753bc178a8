"""What workflows run: each line is a command of this project, and those that need no GitHub are run here, with its files in place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.parts.typed import commands, complaint

HERE = Path(__file__).resolve().parents[2]
FILES = sorted((HERE / ".github").rglob("*.yml"))
DIST = HERE / "dist"


class Step(NamedTuple):
    file: str
    name: str
    run: str


def steps() -> Iterator[Step]:
    for path in FILES:
        value = yaml.safe_load(path.read_text())
        jobs = value["jobs"].values() if "jobs" in value else [value["runs"]]
        for job in jobs:
            for step in job.get("steps", ()):
                if "run" in step:
                    yield Step(path.parent.name if path.name == "action.yml" else path.stem, step["name"], step["run"])


STEPS = {(step.file, step.name): step for step in steps()}


@pytest.mark.parametrize("key", STEPS, ids=lambda key: f"{key[0]}: {key[1]}")
def test_every_command_of_a_workflow_is_one_of_this_project(key: tuple[str, str]) -> None:
    run = STEPS[key].run
    assert "${{" not in run, "a shell is given variables, never text that a template put there"
    typed = commands(run)
    assert typed or key in RUN, "a step that is neither understood nor run here"
    assert [found for words in typed if (found := complaint(words))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HERE)))
def test_every_action_is_pinned_by_commit_and_every_job_says_what_it_may(path: Path) -> None:
    text = path.read_text()
    value = yaml.safe_load(text)
    for line in text.splitlines():
        if "uses: " in line and "uses: $/" not in line:
            _, _, pinned = line.partition("@")
            commit, _, version = pinned.partition(" # v")
            assert len(commit) == 40 and version, line
    if "jobs" in value:
        assert value["permissions"] == {}
        for job in value["jobs"].values():
            assert job["permissions"], "a job without permissions has those of the repository's settings"


class Runner:
    """A folder like a runner's workspace, and the files that GitHub gives a step."""

    def __init__(self, root: Path) -> None:
        self.work, self.programs = root / "work", root / "programs"
        self.work.mkdir()
        self.programs.mkdir()
        for path in HERE.iterdir():
            if path.name not in ("dist", ".git"):
                (self.work / path.name).symlink_to(path)
        self.summary, self.output, self.calls = root / "summary", root / "output", root / "calls"

    def program(self, name: str, text: str) -> None:
        """A stand-in for a program that only a runner has; it notes how it was called."""
        path = self.programs / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> "{self.calls}"\n{text}\n')
        path.chmod(0o755)

    def python(self, text: str) -> None:
        """A stand-in for the virtual environment's Python: the words around a command of ours are what is run."""
        (self.work / ".venv").unlink(missing_ok=True)
        (self.work / ".venv/bin").mkdir(parents=True)
        self.program("python", text)
        (self.work / ".venv/bin/python").symlink_to(self.programs / "python")

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def step(self, file: str, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        files = {"GITHUB_STEP_SUMMARY": str(self.summary), "GITHUB_OUTPUT": str(self.output)}
        kept = {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME") if name in os.environ}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[file, name].run],
            cwd=self.work,
            env={**kept, "PATH": f"{self.programs}:{os.environ['PATH']}", **files, **more},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture
def dist(runner: Runner) -> Path:
    """What the last build of this checkout left, in the runner's workspace."""
    if not (DIST / "build.json").exists():
        pytest.skip("there is no dist/ in this checkout; make build makes it")
    shutil.copytree(DIST, runner.work / "dist")
    return runner.work / "dist"


#: Steps that are run below.
RUN = {
    ("prepare", "Allow user namespaces"),
    ("prepare", "Say which mirror of Debian is used"),
    ("prepare", "Take in the store of an earlier run"),
    ("tell", "Open or close the issue"),
    ("ci", "Summary and annotations"),
    ("ci", "Export the store"),
    ("ci", "Compare"),
    ("image", "Judge again"),
    ("image", "Release"),
    ("rebuild", "Rebuild and compare"),
    ("rescan", "Verify and scan"),
    ("release", "The tag is a version"),
    ("release", "Notes"),
    ("release", "Publish the page with SBOMs, verdict and provenance"),
    ("rescan", "The last release"),
    ("rebuild", "The last release"),
}


#: Steps of one command, which is run by something else than this file.
ELSEWHERE = {
    ("prepare", "Set up the virtual environment"): "make test begins with it",
    ("ci", "Lint"): "test_lint.py, and make lint itself: it takes minutes",
    ("ci", "Test"): "this is it",
    ("ci", "Build"): "make test begins with it",
    ("image", "Build"): "make test begins with it",
    ("image", "Summary and annotations"): "the same line as in ci.yml, with another Python's name",
    ("image", "Verify as a consumer does"): "test_documented.py types it; an identity of GitHub signs nowhere else",
}


def test_every_step_is_run_here_or_it_is_said_where() -> None:
    assert set(STEPS) == RUN | set(ELSEWHERE)
    assert not RUN & set(ELSEWHERE)
    text = Path(__file__).read_text()
    assert [name for _, name in RUN if text.count(f'"{name}"') < 2] == [], "named, and not run"


@pytest.mark.parametrize(("code", "state"), [(0, "good"), (1, "bad"), (2, None), (3, None)])
def test_a_rebuild_that_differs_is_told_and_one_that_decided_nothing_stops_the_job(
    runner: Runner, code: int, state: str | None
) -> None:
    runner.python(f"echo a verdict; exit {code}")
    done = runner.step("rebuild", "Rebuild and compare", IMAGE="ghcr.io/cift/api", VERSION="1.2.3")
    assert done.returncode == (0 if state else code)
    assert (runner.outputs() if state else {}) == ({"state": state} if state else {})
    assert "### ghcr.io/cift/api:1.2.3\n\n```\na verdict\n```" in runner.summary.read_text()
    assert (runner.work / "body.md").read_text() == runner.summary.read_text()
    (call,) = runner.called()
    assert call.startswith("pipelines/verify.py ghcr.io/cift/api:1.2.3 --policy deploy/policy.toml --rebuild . ")


@pytest.mark.parametrize(
    ("verified", "code", "state"), [(0, 0, "good"), (0, 1, "bad"), (0, 3, "bad"), (0, 2, None), (1, 0, None)]
)
def test_a_published_image_is_scanned_only_if_it_verifies_and_an_incomplete_scan_is_no_good_one(
    runner: Runner, verified: int, code: int, state: str | None
) -> None:
    runner.python(f'echo a verdict; case "$1" in *verify.py) exit {verified} ;; *) exit {code} ;; esac')
    done = runner.step("rescan", "Verify and scan", IMAGE="ghcr.io/cift/api", VERSION="1.2.3")
    assert done.returncode == (0 if state else verified or code)
    if state:
        assert runner.outputs() == {"state": state}
        assert "a verdict" in (runner.work / "body.md").read_text()
    assert [call.split()[0] for call in runner.called()] == [
        "pipelines/verify.py", *(["pipelines/rescan.py"] if not verified else [])
    ]  # fmt: skip


@pytest.mark.parametrize("code", [0, 1])
def test_what_was_released_is_one_line_of_the_step_s_outputs(runner: Runner, code: int) -> None:
    released = {"images": {"distroless": {"digest": "sha256:ab"}}, "to": ["ghcr.io/cift/api"]}
    runner.python(f"cat <<'END'\n{json.dumps(released, indent=1)}\nEND\nexit {code}")
    done = runner.step("image", "Release", TAG="1.2.3", GHCR="someone:secret-1", DOCKER_HUB="someone:secret-2")
    assert done.returncode == code
    assert (json.loads(runner.outputs()["released"]) == released) if not code else not runner.output.exists()
    (call,) = runner.called()
    assert call.startswith("pipelines/release.py --tag 1.2.3 ") and "secret" not in call


def test_the_rule_against_user_namespaces_is_lifted_where_there_is_one(runner: Runner) -> None:
    runner.program("sudo", "")
    runner.program("unshare", "")
    rule = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    assert runner.step("prepare", "Allow user namespaces").returncode == 0
    restricted = rule.exists() and rule.read_text().strip() != "0"
    assert any("sysctl" in call for call in runner.called()) == restricted


def test_a_runner_without_a_mirror_of_debian_is_told_so(runner: Runner) -> None:
    name = "Say which mirror of Debian is used"
    lacking = runner.step("prepare", name)
    assert lacking.returncode == 1 and "::error title=No mirror of Debian::" in lacking.stdout
    assert runner.step("prepare", name, DEBIAN_SNAPSHOT="http://127.0.0.1:9").returncode == 0


def test_a_store_goes_from_one_run_to_the_next_and_a_spoiled_one_stops_nothing(runner: Runner, tmp_path: Path) -> None:
    one, other = ({"XDG_CACHE_HOME": str(tmp_path / name)} for name in ("one", "other"))
    assert runner.step("ci", "Export the store", **one).returncode == 0
    name = "Take in the store of an earlier run"
    taken = runner.step("prepare", name, STORE="warm", **other)
    assert taken.returncode == 0 and "0 results" in taken.stdout, taken.stderr
    (runner.work / "warm/index.json").write_text("{}")
    spoiled = runner.step("prepare", name, STORE="warm", **other)
    assert spoiled.returncode == 0 and "::warning title=Cold store::" in spoiled.stdout
    assert runner.step("prepare", name, STORE="nothing", **other).stdout == ""


def test_the_summary_tells_digests_and_annotations_tell_why_a_scan_did_not_pass(runner: Runner, dist: Path) -> None:
    verdict = json.loads((dist / "scan/verdict.json").read_text())
    verdict |= {"verdict": "fail", "reasons": ["a | pipe\nand <b>markup</b>, 100%"]}
    finding = {"target": "distroless", "kind": "vulnerability", "id": "CVE-1", "severity": "critical", "package": "x"}
    verdict["findings"] = [{**finding, "outcome": "fails", "why": "not\nallowed"}] * 12
    (dist / "scan/verdict.json").write_text(json.dumps(verdict))
    done = runner.step("ci", "Summary and annotations")
    assert done.returncode == 0, done.stderr
    text = runner.summary.read_text()
    images: dict[str, Any] = json.loads((dist / "build.json").read_text())["images"]
    assert all(image["digest"] in text for image in images.values())
    assert "- a &#124; pipe and &lt;b&gt;markup&lt;/b&gt;, 100%" in text
    lines = done.stdout.splitlines()
    assert lines[0] == "::error title=Scan%3A fail::a | pipe%0Aand <b>markup</b>, 100%25"
    assert lines[1:] == ["::error title=CVE-1 (critical)::distroless: x: not%0Aallowed"] * 10


def test_two_builds_are_compared(runner: Runner, dist: Path) -> None:
    for name in ("embedded", "dagger"):
        for target in ("distroless", "standard"):
            source = dist / target if (dist / target).exists() else dist / "distroless"
            shutil.copytree(source, runner.work / name / target)
    assert runner.step("ci", "Compare").returncode == 0


def test_a_verdict_that_was_changed_stops_a_release(runner: Runner, dist: Path) -> None:
    first = runner.step("image", "Judge again")
    assert first.returncode in (0, 1, 3), first.stderr
    verdict = json.loads((dist / "scan/verdict.json").read_text())
    (dist / "scan/verdict.json").write_text(json.dumps({**verdict, "verdict": "pass", "reasons": []}))
    assert runner.step("image", "Judge again").returncode == (0 if verdict["verdict"] == "pass" else 2)


@pytest.mark.parametrize(
    ("tag", "version"), [("v1.2.3", "1.2.3"), ("v1.0.0-rc.1", "1.0.0-rc.1"), ("v1", None), ("v1.2.3\nx=y", None)]
)
def test_only_a_version_is_released(runner: Runner, tag: str, version: str | None) -> None:
    done = runner.step("release", "The tag is a version", TAG=tag)
    assert (done.returncode == 0) == (version is not None)
    if version:
        assert runner.outputs() == {"version": version}


def test_the_release_page_holds_sboms_verdict_and_provenance(runner: Runner, dist: Path) -> None:
    runner.program("gh", "")
    assert runner.step("release", "Notes", GITHUB_STEP_SUMMARY="").returncode == 0
    assert "| image | digest |" in (runner.work / "notes.md").read_text()
    done = runner.step("release", "Publish the page with SBOMs, verdict and provenance", TAG="v1.2.3")
    assert done.returncode == 0, done.stderr
    (call,) = runner.called()
    assert call.startswith("release create v1.2.3 --verify-tag") and "dist/sbom/distroless.cdx.json" in call


@pytest.mark.parametrize("file", ["rescan", "rebuild"])
def test_the_last_release_is_asked_for_by_its_tag(runner: Runner, file: str) -> None:
    runner.program("gh", "echo v1.2.3")
    assert runner.step(file, "The last release").returncode == 0
    assert runner.outputs() == {"version": "1.2.3"}


@pytest.mark.parametrize(
    ("state", "number", "verb"),
    [("bad", "", "issue create"), ("bad", "7", "issue comment 7"), ("good", "", None), ("good", "7", "issue close 7")],
)
def test_an_issue_is_opened_once_and_closed_when_it_is_good_again(
    runner: Runner, state: str, number: str, verb: str | None
) -> None:
    runner.program("gh", f'[ "$2" != list ] || echo {number}')
    done = runner.step("tell", "Open or close the issue", STATE=state, TITLE="A matter", BODY="body.md")
    assert done.returncode == 0, done.stderr
    assert [call for call in runner.called() if not call.startswith("issue list")] == [
        call for call in runner.called() if verb and call.startswith(verb)
    ]
    assert len(runner.called()) == (2 if verb else 1)


def test_a_state_that_is_none_fails(runner: Runner) -> None:
    runner.program("gh", "")
    assert runner.step("tell", "Open or close the issue", STATE="", TITLE="x", BODY="y").returncode == 1
