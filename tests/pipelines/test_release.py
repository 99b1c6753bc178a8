"""release, verify and copy, as commands, on two real registries; what other people's tools say of the result."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import HERE
from tests.parts.certificates import Certificates
from tests.parts.outside import environment
from tests.parts.registries import PASSWORD, USER, Registry
from tests.parts.released import POLICY, REVISION, dist, key_files
from tests.parts.toolbox import program, run

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def command(name: str, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / "pipelines" / f"{name}.py"), *map(str, words)],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **more},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_one_run_releases_to_two_registries_and_everybody_agrees(
    plain_registry: Registry, new_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    root = dist(tmp_path / "dist", 40, NOW)
    key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
    env = environment(tmp_path, plain_registry, certificates, new_registry)
    both = [f"{each.host}/team/app" for each in (plain_registry, new_registry)]
    words = [
        "--from",
        tmp_path / "dist",
        "--target",
        "distroless",
        "--tag",
        "1.0",
        "--key",
        tmp_path / "key.pem",
        "--json",
    ]
    for each in both:
        words += ["--to", each]
    first = command("release", *words, "--legacy-signatures", **env)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)["images"]["distroless"]
    assert told["digest"] == str(root.digest)
    assert len(told["attached"]) == 5
    again = command("release", *words, **env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["images"]["distroless"]["attached"] == told["attached"]
    assert "sent" not in again.stderr
    for each in both:
        for place in (f"{each}:1.0", f"{each}@{root.digest}"):
            done = command("verify", place, "--policy", tmp_path / "policy.toml", "--json", **env)
            assert done.returncode == 0, done.stdout + done.stderr
    _others_agree(both, tmp_path, env)
    # To an air-gapped site, and from there.
    assert command("copy_image", f"{both[0]}:1.0", tmp_path / "site.tar", **env).returncode == 0
    offline = command("verify", tmp_path / "site.tar", "--policy", tmp_path / "policy.toml")
    assert offline.returncode == 0, offline.stdout + offline.stderr
    back = command("copy_image", tmp_path / "site.tar", f"{new_registry.host}/other/site:1.0", **env)
    assert back.returncode == 0, back.stderr
    done = command("verify", f"{new_registry.host}/other/site:1.0", "--policy", tmp_path / "policy.toml", **env)
    assert done.returncode == 0, done.stdout


def _others_agree(places: list[str], folder: Path, env: dict[str, str]) -> None:
    key = ["--key", str(folder / "key.pub"), "--insecure-ignore-tlog=true"]
    for each in places:
        run([*program("cosign"), "verify", *key, f"{each}:1.0"], env)
        run([*program("cosign"), "verify-attestation", "--type", "cyclonedx", *key, f"{each}:1.0"], env)
        found = json.loads(run([*program("oras"), "discover", "--format", "json", f"{each}:1.0"], env).stdout)
        assert len(found.get("manifests") or found["referrers"]) == 5
        target = folder / f"skopeo-{places.index(each)}"
        run([*program("skopeo"), "--insecure-policy", "copy", f"docker://{each}:1.0", f"oci:{target}:1.0"], env)
        assert json.loads((target / "index.json").read_bytes())["manifests"][0]["digest"]


def test_cosign_3_accepts_signature_and_attestations(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    cosign = os.environ.get("PIPELINES_COSIGN_3") or shutil.which("cosign3")
    if not cosign:
        pytest.skip(
            "cosign 3 is in no package registry but Go's and takes minutes to build; PIPELINES_COSIGN_3 names it"
        )
    dist(tmp_path / "dist", 41, NOW)
    key_files(tmp_path)
    env = environment(tmp_path, registry, certificates)
    to = f"{registry.host}/team/three"
    words = (
        "--from",
        tmp_path / "dist",
        "--target",
        "distroless",
        "--tag",
        "1.0",
        "--key",
        tmp_path / "key.pem",
        "--to",
        to,
    )
    assert command("release", *words, **env).returncode == 0
    key = ["--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true", f"{to}:1.0"]
    run([cosign, "verify", *key], env)
    for kind in ("cyclonedx", "openvex", "slsaprovenance1", "https://in-toto.io/attestation/vulns/v0.2"):
        run([cosign, "verify-attestation", "--type", kind, *key], env)
    run([cosign, "verify-attestation", "--type", "spdxjson", *key], env, fails=True)


@pytest.mark.parametrize(("verdict", "says"), [("fail", "not released"), ("incomplete", "--accept-incomplete-scan")])
def test_a_scan_that_did_not_pass_stops_a_release_before_anything_is_sent(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, verdict: str, says: str
) -> None:
    dist(tmp_path / "dist", 42, NOW, verdict=verdict)
    key_files(tmp_path)
    env = environment(tmp_path, plain_registry, certificates)
    to = f"{plain_registry.host}/scan/{verdict}"
    words = (
        "--from",
        tmp_path / "dist",
        "--target",
        "distroless",
        "--tag",
        "1",
        "--key",
        tmp_path / "key.pem",
        "--to",
        to,
    )
    done = command("release", *words, **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert plain_registry.proxy.seen(f"/v2/scan/{verdict}") == []
    if verdict == "incomplete":
        done = command("release", *words, "--accept-incomplete-scan", "no database in the air gap", **env)
        assert done.returncode == 0, done.stderr
        blobs = [each.read_bytes() for each in (tmp_path / "dist/released/distroless/blobs/sha256").iterdir()]
        payloads = [
            base64.b64decode(json.loads(each)["dsseEnvelope"]["payload"]) for each in blobs if b"dsseEnv" in each
        ]
        assert any(b'"acceptedIncomplete":"no database in the air gap"' in each for each in payloads)
        (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
        refused = command("verify", f"{to}:1", "--policy", tmp_path / "policy.toml", **env)
        assert refused.returncode == 1
        assert "the verdict is incomplete" in refused.stdout


def test_a_password_and_a_key_are_in_no_file_log_or_process_list(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    dist(tmp_path / "dist", 43, NOW)
    key_files(tmp_path)
    secret = tmp_path / "key.pem"
    body = "".join(secret.read_text().splitlines()[1:-1])[:40]
    env = {**environment(tmp_path), "LOGIN": f"{USER}:{PASSWORD}", "SSL_CERT_FILE": str(certificates.authority)}
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(each.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    words = (
        "--from",
        tmp_path / "dist",
        "--target",
        "distroless",
        "--tag",
        "1",
        "--key",
        secret,
        "--legacy-signatures",
    )
    to = ("--to", f"{registry.host}/leak/search", "--credentials", f"{registry.host}=env:LOGIN")
    done = command("release", *words, *to, **env)
    stop.set()
    watcher.join()
    assert done.returncode == 0, done.stderr
    assert any("release.py" in each for each in seen)
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for needle in (PASSWORD, basic, body):
        assert needle not in done.stdout + done.stderr
        assert not [each for each in seen if needle in each]
        for folder in (tmp_path, registry.storage):
            hits = [p for p in folder.rglob("*") if p.is_file() and p != secret and needle.encode() in p.read_bytes()]
            assert hits == []
