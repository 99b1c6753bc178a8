"""What a release was told in confidence is in nothing that it leaves or shows: files, logs, processes, temporary folders."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.parts import watch
from tests.parts.certificates import Certificates
from tests.parts.commands import words
from tests.parts.registries import PASSWORD, USER, Registry
from tests.parts.released import dist

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
KEY_PASSWORD = "m1nt-cobalt-Zw4"


def test_a_planted_secret_is_found_in_a_file_a_command_line_and_an_environment(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"login {PASSWORD} failed")
    sleeper = [sys.executable, "-c", "import time; time.sleep(0.5)", PASSWORD]
    with watch.processes() as seen:
        subprocess.run(sleeper, env={**os.environ, "PLANTED": KEY_PASSWORD}, check=True)
    assert watch.places(PASSWORD.encode(), [tmp_path]) == [tmp_path / "log"]
    assert any(PASSWORD.encode() in each for each in seen["cmdline"])
    assert any(KEY_PASSWORD.encode() in each for each in seen["environ"])


@pytest.mark.parametrize("fails", [False, True])
def test_a_password_and_a_key_are_in_no_file_log_or_process_list(
    registry: Registry, certificates: Certificates, tmp_path: Path, fails: bool
) -> None:
    """As files: the login and the key; the key's password as cosign takes it, from COSIGN_PASSWORD."""
    dist(tmp_path / "dist", 43, NOW)
    secrets, temporary = tmp_path / "secrets", tmp_path / "tmp"
    secrets.mkdir()
    temporary.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    how = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
    (secrets / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
    )
    password = PASSWORD + ("x" if fails else "")
    (secrets / "login").write_text(f"{USER}:{password}")
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    given = ["--from", tmp_path / "dist", "--target", "distroless", "--tag", "1", "--key", secrets / "key.pem"]
    given += ["--to", f"{registry.host}/leak/search", "--credentials", f"{registry.host}=file:{secrets / 'login'}"]
    env = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(certificates.authority), "TMPDIR": str(temporary)}
    with watch.processes() as seen:
        done = subprocess.run(
            words("release", *given, "--legacy-signatures", *(["--move-tags"] if not fails else [])),
            env={**env, "COSIGN_PASSWORD": KEY_PASSWORD},
            capture_output=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == int(fails), done.stderr
    assert any(b"release.py" in each for each in seen["cmdline"])
    basic = base64.b64encode(f"{USER}:{password}".encode())
    number = key.private_numbers().private_value.to_bytes(32, "big")
    raw = [password.encode(), basic, KEY_PASSWORD.encode(), number, base64.b64encode(der)[:60], number.hex().encode()]
    for needle in raw:
        assert needle not in done.stdout + done.stderr
        assert not [each for each in seen["cmdline"] if needle in each]
        mine = [each for each in seen["environ"] if needle in each]
        # What the caller put into the environment of release itself is there; no other process gets it.
        assert len(mine) <= (needle == KEY_PASSWORD.encode())
        assert watch.places(needle, [tmp_path, registry.storage], tuple(secrets.iterdir())) == []
