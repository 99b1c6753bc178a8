"""Today's cosign over what a release attached: signature and attestations, each by its type."""

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
