"""From a commit to a digest, and again: verify builds the revision that the provenance names, and says so, signed."""

from __future__ import annotations

import json
from pathlib import Path

from sbom import statements
from signing import attachment
from tests.parts.certificates import Certificates
from tests.parts.commands import command
from tests.parts.outside import environment
from tests.parts.registries import Registry
from tests.parts.released import key_files
from tests.parts.sample import image
from tests.pipelines.conftest import Build
from tests.pipelines.conftest import environment as surroundings

POLICY = """
[[signer]]
key = "key.pub"
[provenance]
builder = "urn:pipelines:builder:local"
[sbom]
required = true
"""


def test_a_rebuild_gives_the_same_digest_and_a_summary_that_a_policy_can_require(
    build: Build, plain: Path, plain_registry: Registry, certificates: Certificates, tmp_path: Path
) -> None:
    built = build(plain, "--target", "distroless", "--no-run", "--json")
    assert built.returncode == 0, built.stderr
    digest = json.loads(built.stdout)["images"]["distroless"]["digest"]
    signer = key_files(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "strict.toml").write_text(POLICY + "[rebuild]\nrequired = true\n")
    ours = environment(tmp_path, plain_registry, certificates)
    env = {**surroundings(), **{name: ours[name] for name in ("DOCKER_CONFIG", "SSL_CERT_FILE")}}
    to, key = f"{plain_registry.host}/re/built", ("--key", tmp_path / "key.pem")
    words = ("--project", plain, "--target", "distroless", "--tag", "1", "--to", to, *key)
    done = command("release", *words, "--accept-incomplete-scan", "a test", **env)
    assert done.returncode == 0, done.stderr
    strict = command("verify", f"{to}:1", "--policy", tmp_path / "strict.toml", **env)
    assert strict.returncode == 1
    assert "there is no verification summary" in strict.stdout
    again = command(
        "verify", f"{to}:1", "--policy", tmp_path / "policy.toml", "--rebuild", plain, "--summary", *key, **env
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "a rebuild gave the same digest" in again.stdout
    strict = command("verify", f"{to}:1", "--policy", tmp_path / "strict.toml", "--json", **env)
    assert strict.returncode == 0, strict.stdout
    checks = {each["name"]: each["outcome"] for each in json.loads(strict.stdout)["checks"][digest]}
    assert (checks["rebuild"], checks["sbom"]) == ("passed", "passed")
    # An image whose provenance, signed by the right key, names a revision that gives another one.
    said = json.loads((plain / "dist/provenance/distroless.json").read_bytes())["predicate"]
    layout, other = image(tmp_path / "other", seed=61)
    for kind, predicate in ((statements.COSIGN_SIGNATURE, {}), (statements.SLSA_PROVENANCE, said)):
        made = statements.encode(statements.build([str(other.digest)], kind, predicate))
        attachment.attach(layout, other, signer.sign(made), kind)
    (tmp_path / "lax.toml").write_text(POLICY.replace("[sbom]\nrequired = true\n", ""))
    lax = ("verify", tmp_path / "other", "--policy", tmp_path / "lax.toml")
    assert command(*lax, **env).returncode == 0
    done = command(*lax, "--rebuild", plain, **env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"a rebuild gave {digest}" in done.stdout
