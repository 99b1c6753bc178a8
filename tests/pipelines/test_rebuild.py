"""From a commit to a digest, and again: verify builds the revision that the provenance names, and says so, signed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from registry.layout import Layout
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
    # It takes minutes, so it is told how far it has got.
    assert "  distroless  " in again.stderr and "scan distroless" not in again.stderr
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


def test_a_rebuild_looks_at_the_digest_and_not_at_what_is_known_against_the_image_today(
    build: Build, plain: Path, tmp_path: Path
) -> None:
    table = (plain / "pyproject.toml").read_text()
    (plain / "pyproject.toml").write_text(
        table.replace("port = 9000\n", 'port = 9000\nexceptions = "exceptions.toml"\n')
    )
    ended = 'id = "CVE-2030-1"\npackage = "pkg:pypi/h11"\nreason = "x"\nowner = "x"\nuntil = 2025-01-01\n'
    (plain / "exceptions.toml").write_text(f"[[exception]]\n{ended}")
    for words in (
        ("add", "-A"),
        ("-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "an exception that ends"),
    ):
        subprocess.run(["git", *words], cwd=plain, check=True)
    built = build(plain, "--target", "distroless", "--no-run", "--no-scan", "--json")
    assert (built.returncode, "ended on 2025-01-01" in built.stderr) == (3, True), built.stderr
    layout = Layout(plain / "dist/distroless")
    root = layout.manifest(layout.resolve(None).digest)
    signer = key_files(tmp_path)
    said = json.loads((plain / "dist/provenance/distroless.json").read_bytes())["predicate"]
    for kind, predicate in ((statements.COSIGN_SIGNATURE, {}), (statements.SLSA_PROVENANCE, said)):
        made = statements.encode(statements.build([str(root.digest)], kind, predicate))
        attachment.attach(layout, root, signer.sign(made), kind)
    (tmp_path / "policy.toml").write_text(POLICY.replace("[sbom]\nrequired = true\n", ""))
    words = (layout.folder, "--policy", tmp_path / "policy.toml", "--rebuild", plain)
    done = command("verify", *words, **surroundings())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a rebuild gave the same digest" in done.stdout
