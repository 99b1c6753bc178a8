"""release, verify and copy, as commands, on two real registries; what other people's tools say of the result."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from images.manifest import encode
from registry import content, copy, reference
from registry.errors import NotFound
from registry.layout import Layout
from registry.remote import Remote
from tests.parts.certificates import Certificates
from tests.parts.commands import command, words
from tests.parts.outside import environment
from tests.parts.registries import Registry, settings
from tests.parts.released import POLICY, REVISION, dist, key_files
from tests.parts.toolbox import program, run
from tests.parts.trivy import scanner

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def release(folder: Path, *to: str, tag: str = "1", key: str = "key.pem") -> list[object]:
    """The words of a release of ``folder/dist`` by the key beside it."""
    words: list[object] = ["--from", folder / "dist", "--target", "distroless", "--tag", tag, "--key", folder / key]
    for each in to:
        words += ["--to", each]
    return words


def refused(place: object, folder: Path, says: str, **env: str) -> str:
    """What verify says under ``folder/policy.toml``: that all is well, or ``says``."""
    done = command("verify", place, "--policy", folder / "policy.toml", **env)
    assert done.returncode == (1 if says else 0), done.stdout + done.stderr
    assert says in done.stdout + done.stderr
    return done.stdout


def test_one_run_releases_to_two_registries_and_everybody_agrees(
    plain_registry: Registry, new_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    root = dist(tmp_path / "dist", 40, NOW)
    key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
    env = environment(tmp_path, plain_registry, certificates, new_registry)
    both = [f"{each.host}/team/app" for each in (plain_registry, new_registry)]
    given = [*release(tmp_path, *both, tag="1.0"), "--json"]
    first = command("release", *given, "--legacy-signatures", **env)
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)["images"]["distroless"]
    assert told["digest"] == str(root.digest)
    assert len(told["attached"]) == 5
    again = command("release", *given, **env)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["images"]["distroless"]["attached"] == told["attached"]
    assert "sent" not in again.stderr
    for each in both:
        for place in (f"{each}:1.0", f"{each}@{root.digest}"):
            refused(place, tmp_path, "", **env)
    _others_agree(both, tmp_path, env)
    # To an air-gapped site, and from there.
    assert command("copy_image", f"{both[0]}:1.0", tmp_path / "site.tar", **env).returncode == 0
    refused(tmp_path / "site.tar", tmp_path, "")
    back = command("copy_image", tmp_path / "site.tar", f"{new_registry.host}/other/site:1.0", **env)
    assert back.returncode == 0, back.stderr
    refused(f"{new_registry.host}/other/site:1.0", tmp_path, "", **env)
    # And back from there: what left and what returned are the same files, whose names are their digests.
    ends = {"left": f"{both[0]}:1.0", "returned": f"{new_registry.host}/other/site:1.0"}
    for name, place in ends.items():
        assert command("copy_image", place, tmp_path / name, **env).returncode == 0
        refused(tmp_path / name, tmp_path, "")
    left, returned = (sorted(each.name for each in (tmp_path / name / "blobs/sha256").iterdir()) for name in ends)
    assert left == returned
    listed = [Layout(tmp_path / name)._described() for name in ends]
    assert {each.digest for each in listed[0]} == {each.digest for each in listed[1]}
    older = ["--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true", ends["returned"]]
    run([*program("cosign"), "verify", *older], env)
    run([*program("cosign"), "verify-attestation", "--type", "openvex", *older], env)


def _others_agree(places: list[str], folder: Path, env: dict[str, str]) -> None:
    key = ["--key", str(folder / "key.pub"), "--insecure-ignore-tlog=true"]
    for each in places:
        run([*program("cosign"), "verify", *key, f"{each}:1.0"], env)
        attested = run(
            [*program("cosign"), "verify-attestation", "--type", "cyclonedx", *key, f"{each}:1.0"], env
        ).stdout
        (folder / "attested.json").write_text(attested)
        # What cosign has verified is what Trivy reads: by licences, which take no database.
        quiet = ["--quiet", "--offline-scan", "--scanners", "license", "--format", "json"]
        scanned = json.loads(run([str(scanner()), "sbom", *quiet, str(folder / "attested.json")], env).stdout)
        assert scanned["ArtifactType"] == "cyclonedx"
        found = json.loads(run([*program("oras"), "discover", "--format", "json", f"{each}:1.0"], env).stdout)
        assert len(found.get("manifests") or found["referrers"]) == 5
        target = folder / f"skopeo-{places.index(each)}"
        run([*program("skopeo"), "--insecure-policy", "copy", f"docker://{each}:1.0", f"oci:{target}:1.0"], env)
        assert json.loads((target / "index.json").read_bytes())["manifests"][0]["digest"]


@pytest.mark.parametrize(("verdict", "says"), [("fail", "not released"), ("incomplete", "--accept-incomplete-scan")])
def test_a_scan_that_did_not_pass_stops_a_release_before_anything_is_sent(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path, verdict: str, says: str
) -> None:
    dist(tmp_path / "dist", 42, NOW, verdict=verdict)
    key_files(tmp_path)
    env = environment(tmp_path, plain_registry, certificates)
    to = f"{plain_registry.host}/scan/{verdict}"
    given = release(tmp_path, to)
    done = command("release", *given, **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert plain_registry.proxy.seen(f"/v2/scan/{verdict}") == []
    if verdict == "incomplete":
        done = command("release", *given, "--accept-incomplete-scan", "no database in the air gap", **env)
        assert done.returncode == 0, done.stderr
        blobs = [each.read_bytes() for each in (tmp_path / "dist/released/distroless/blobs/sha256").iterdir()]
        payloads = [
            base64.b64decode(json.loads(each)["dsseEnvelope"]["payload"]) for each in blobs if b"dsseEnv" in each
        ]
        assert any(b'"acceptedIncomplete":"no database in the air gap"' in each for each in payloads)
        (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
        refused(f"{to}:1", tmp_path, "the verdict is incomplete", **env)


def test_a_release_says_where_it_goes_before_it_goes_and_a_dry_run_sends_nothing(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    root = dist(tmp_path / "dist", 44, NOW)
    project = tmp_path / "project"
    (project / "app").mkdir(parents=True)
    (project / "requirements.txt").write_text("")
    to = f"{plain_registry.host}/dry/run"
    (project / "pyproject.toml").write_text(
        '[tool.pipelines]\nname = "x"\nsource = ["app"]\nrequirements = "requirements.txt"\ncommand = ["x"]\n'
        f'publish = ["{to}"]\n'
    )
    key_files(tmp_path)
    env = environment(tmp_path, plain_registry, certificates)
    given = [*release(tmp_path), "--project", project]
    before = len(plain_registry.proxy.requests)
    dry = command("release", *given, "--dry-run", **env)
    assert dry.returncode == 0, dry.stderr
    assert "nothing was sent" in dry.stdout
    assert f"goes to  {to}:1  (from publish in [tool.pipelines]" in dry.stderr
    assert f"sets  {to}:1 {root.digest}" in dry.stderr
    assert {method for method, _, _ in plain_registry.proxy.requests[before:]} <= {"GET", "HEAD"}
    assert not (tmp_path / "dist/released").exists()
    before = len(plain_registry.proxy.requests)
    done = command("release", *given, **env)
    assert done.returncode == 0, done.stderr
    assert done.stderr.index("goes to") < done.stderr.index("sent")
    assert f"has  {to}:1 {root.digest}" in command("release", *given, "--dry-run", **env).stderr
    dist(tmp_path / "dist2", 45, NOW)
    other = [tmp_path / "dist2" if each == tmp_path / "dist" else each for each in given]
    clash = command("release", *other, "--dry-run", **env)
    assert (clash.returncode, "--move-tags" in clash.stderr) == (1, True)


def test_an_index_of_platforms_is_signed_and_so_is_each_image_in_it(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    folders = {name: tmp_path / name for name in ("amd64", "arm64")}
    roots = {name: dist(folder, seed, NOW) for (name, folder), seed in zip(folders.items(), (47, 48), strict=True)}
    whole = Layout(tmp_path / "dist/distroless", create=True)
    described = []
    for name, folder in folders.items():
        part = Layout(folder / "distroless")
        copy.send(copy.graph(part, roots[name].descriptor), part, whole)
        platform = {"os": "linux", "architecture": name}
        described.append({**roots[name].descriptor.to_json(), "platform": platform})
        for kind in ("provenance/{}.json", "sbom/{}.cdx.json", "vex/{}.openvex.json", "scan/{}.json"):
            place = tmp_path / "dist" / kind.format(f"distroless-{name}")
            if (folder / kind.format("distroless")).exists():
                place.parent.mkdir(exist_ok=True)
                shutil.copy(folder / kind.format("distroless"), place)
    (tmp_path / "dist/scan").mkdir(exist_ok=True)
    shutil.copy(folders["amd64"] / "scan/verdict.json", tmp_path / "dist/scan/verdict.json")
    verdict = json.loads((tmp_path / "dist/scan/verdict.json").read_bytes())
    reports = {f"distroless-{name}": (folder / "scan/distroless.json").read_bytes() for name, folder in folders.items()}
    scanned = {name: f"sha256:{hashlib.sha256(data).hexdigest()}" for name, data in reports.items()}
    index = content.manifest(encode({"schemaVersion": 2, "mediaType": content.INDEX, "manifests": described}))
    whole.put_manifest(index)
    whole.tag("", index)
    key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
    env = environment(tmp_path, registry, certificates)
    to = f"{registry.host}/of/platforms"
    for known in (dict(list(scanned.items())[:1]), scanned):
        verdict["inputs"]["reports"] = known
        (tmp_path / "dist/scan/verdict.json").write_text(json.dumps(verdict))
        done = command("release", *release(tmp_path, to), "--json", "--legacy-signatures", **env)
        if known is not scanned:
            assert "distroless-arm64 was not scanned" in done.stderr
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["images"]["distroless"]["attached"]) == 12
    told = refused(f"{to}:1", tmp_path, "", **env)
    assert all(str(each.digest) in told for each in (index, *roots.values()))
    cosign = [*program("cosign"), "verify", "--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true"]
    for each in (index, *roots.values()):
        run([*cosign, f"{to}@{each.digest}"], env)
    # One image of the two without its attestations: the whole is refused.
    local = tmp_path / "copied"
    assert command("copy_image", f"{to}:1", f"{local}:1", **env).returncode == 0
    refused(f"{local}:1", tmp_path, "")
    kept = json.loads((local / "index.json").read_bytes())
    layout = Layout(local)
    bad = {str(each.digest) for each in layout.referrers(roots["arm64"].digest)}
    kept["manifests"] = [each for each in kept["manifests"] if each["digest"] not in bad]
    (local / "index.json").write_text(json.dumps(kept))
    refused(f"{local}:1", tmp_path, f"there is no signature of {roots['arm64'].digest}")


def test_a_release_that_is_killed_at_any_time_is_finished_by_the_next(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    root = dist(tmp_path / "dist", 49, NOW)
    key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY.format(revision=REVISION))
    env = environment(tmp_path, registry, certificates)
    to, rng, killed = f"{registry.host}/killed/often", random.Random(8), 0
    given = release(tmp_path, to)
    with Remote(reference.repository(to), settings(registry, certificates)) as remote:
        for number in range(12):
            registry.proxy.requests.clear()
            started = subprocess.Popen(
                words("release", *given),
                env={"PATH": os.environ["PATH"], **env},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # By requests and not by seconds: each kill falls somewhere else in the work, however busy the machine is.
            wanted = 1 + number * 5 + rng.randrange(5)
            while started.poll() is None and len(registry.proxy.requests) < wanted:
                time.sleep(0.002)
            started.kill()
            killed += started.wait() == -9
            try:
                found = remote.resolve("1")
            except NotFound:
                continue
            # A tag that is there points at something whole, with all that belongs to it.
            assert found.digest == root.digest
            refused(f"{to}:1", tmp_path, "", **env)
            break
    assert killed >= 3
    done = command("release", *given, **env)
    assert done.returncode == 0, done.stderr
    refused(f"{to}:1", tmp_path, "", **env)


def test_a_key_in_a_service_that_cannot_be_reached_stops_a_release_before_anything_is_sent(
    plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    dist(tmp_path / "dist", 51, NOW)
    env = environment(tmp_path, plain_registry, certificates)
    reference = "hashivault://no-such-key"
    given = [
        reference if str(each).endswith("key.pem") else each
        for each in release(tmp_path, f"{plain_registry.host}/k/ms")
    ]
    without = command("release", *given, **{**env, "PATH": "/nonexistent"})
    assert without.returncode == 1
    assert f"{reference} is reached through cosign, and there is no cosign on PATH" in without.stderr
    # Debian's cosign knows some services and not others, and says so.
    lost = command("release", *given, **env, PIPELINES_COSIGN=" ".join(program("cosign")))
    assert lost.returncode == 1
    assert f"{reference}: {program('cosign')[0]} was built without that service" in lost.stderr
    assert plain_registry.proxy.seen("/v2/k/ms") == []
