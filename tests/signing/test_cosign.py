"""Today's cosign: over what a release attached, each by its type, and as the way to a key in a service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.go import programs
from tests.parts.outside import environment
from tests.parts.registries import Registry
from tests.parts.released import dist, key_files
from tests.parts.toolbox import run
from tests.parts.vault import running_vault

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_cosign_3_accepts_signature_and_attestations(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    cosign = str(programs("cosign", only_if="PIPELINES_KEYLESS") / "cosign")
    dist(tmp_path / "dist", 41, NOW)
    key_files(tmp_path)
    env = environment(tmp_path, registry, certificates)
    to = f"{registry.host}/team/three"
    words = ("--from", tmp_path / "dist", "--target", "distroless", "--tag", "1.0", "--to", to)
    assert command("release", *words, "--key", tmp_path / "key.pem", **env).returncode == 0
    key = ["--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true", f"{to}:1.0"]
    run([cosign, "verify", *key], env)
    for kind in ("cyclonedx", "openvex", "slsaprovenance1", "https://in-toto.io/attestation/vulns/v0.2"):
        run([cosign, "verify-attestation", "--type", kind, *key], env)
    run([cosign, "verify-attestation", "--type", "spdxjson", *key], env, fails=True)


def test_a_key_in_a_service_signs_a_release_and_never_leaves_it(
    registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    cosign = str(programs("cosign", only_if="PIPELINES_KEYLESS") / "cosign")
    dist(tmp_path / "dist", 42, NOW)
    env = {**environment(tmp_path, registry, certificates), "PIPELINES_COSIGN": cosign}
    to = f"{registry.host}/team/vault"
    words = ("--from", tmp_path / "dist", "--target", "distroless", "--tag", "1.0", "--to", to)
    key = ("--key", "hashivault://release")
    with running_vault() as vault:
        (tmp_path / "key.pub").write_bytes(vault.pem)
        ways = {"VAULT_ADDR": vault.url, "VAULT_TOKEN": "another"}
        refused = command("release", *words, *key, **env, **ways)
        assert (refused.returncode, "permission denied" in refused.stderr) == (1, True)
        assert registry.proxy.seen("/v2/team/vault") == []
        done = command("release", *words, *key, **env, **{**ways, "VAULT_TOKEN": vault.token})
        assert done.returncode == 0, done.stderr
        # Its signatures differ from time to time: what it has signed it is not asked to sign again.
        again = command("release", *words, *key, **env, **{**ways, "VAULT_TOKEN": vault.token})
        assert again.returncode == 0, again.stderr
        assert len([each for each in vault.asked if "/sign/" in each]) == 5
    (tmp_path / "policy.toml").write_text('[[signer]]\nkey = "key.pub"\n[scan]\nmax-age-days = 1\n')
    seen = command("verify", f"{to}:1.0", "--policy", tmp_path / "policy.toml", **env)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    run([cosign, "verify", "--key", str(tmp_path / "key.pub"), "--insecure-ignore-tlog=true", f"{to}:1.0"], env)
