"""A released image that each test may spoil a copy of."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from registry.layout import Layout
from signing.keys import KeySigner
from tests.parts.attacked import REBUILT, Attack, released
from tests.parts.released import POLICY, REVISION, key_files
from verification import policy


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Attack:
    folder = tmp_path_factory.mktemp("good")
    signer = key_files(folder)
    (folder / "policy.toml").write_text(POLICY.format(revision=REVISION) + REBUILT)
    source, root = released(folder / "one", 80, signer)
    stranger = KeySigner(ec.derive_private_key(99, ec.SECP256R1()))
    return Attack(source, root, policy.read(folder / "policy.toml"), signer, stranger)


@pytest.fixture
def attack(good: Attack, tmp_path: Path) -> Attack:
    shutil.copytree(good.layout.folder, tmp_path / "bad")
    return replace(good, layout=Layout(tmp_path / "bad"))
