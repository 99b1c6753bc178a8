"""What tests of Debian archives share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A throwaway GnuPG home and the keyring of its one key."""
    if not shutil.which("gpg") or not shutil.which("gpgv"):
        pytest.skip("gpg and gpgv are not here, so no signature can be made")
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    subprocess.run([*base, "--quick-generate-key", "test", "ed25519", "sign", "never"], check=True, capture_output=True)
    ring = home / "ring.gpg"
    ring.write_bytes(subprocess.run([*base, "--export"], check=True, capture_output=True).stdout)
    return home, ring
