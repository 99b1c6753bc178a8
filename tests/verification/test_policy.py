"""Policies are parsed strictly; no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts.released import POLICY
from verification import policy
from verification.errors import PolicyError

SIGNER = '[[signer]]\nkey = "k"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nobody is trusted"), ("signer = []", "nobody is trusted"), ("[sbom]\nrequired = true", "nobody is trusted"),
        ("[[signer]]", "needs either key"), ('[[signer]]\nkey = ""', "not empty"), ('[[signer]]\nidentity = "a"', "needs either"),
        ('[[signer]]\nidentity = "*"\nissuer = "i"', "more than"), ('[[signer]]\nkey = "k"\nissuer = "i"', "needs either"),
        (SIGNER + "[provenance]", "is empty"), (SIGNER + "[provenance]\nbuilder = []", "not empty"),
        (SIGNER + '[provenance]\nbuilders = "x"', "no key 'builders'"), (SIGNER + "[scan]", "is empty"),
        (SIGNER + "[scan]\nmax-age = 1", "no key 'max-age'"), (SIGNER + "[scan]\nmax-age-days = 0", "above 0"),
        (SIGNER + '[scan]\nmax-age-days = "7"', "above 0"), (SIGNER + "[sbom]\nrequired = false", "what can be asked"),
        (SIGNER + "[sboms]\nrequired = true", "no key 'sboms'"), (SIGNER + "sbom = true", "no key 'sbom'"),
        (SIGNER + "[rebuild]", "is empty"), (SIGNER + "[rebuild]\nrequired = false", "what can be asked"),
        (SIGNER + '[provenance]\nbuilder = "*"', "fits anything"), (SIGNER + '[provenance]\nrevision = ["a*", "**"]', "fits anything"),
        (SIGNER + '[provenance]\nrepository = "https://*"', "fits anything"), (SIGNER + '[provenance]\nrepository = "git+https://*/*"', "fits anything"),
        ('[[signer]]\nidentity = "*@*"\nissuer = "i"', "more than"), ('[[signer]]\nidentity = "https://*"\nissuer = "i"', "more than"),
        ('[[signer]]\nidentity = "a@b"\nissuer = "*"', "without \\*"), ('[[signer]]\nkey = ["k"]', "holds strings"),
        (SIGNER + "[scan]\nmax-age-days = inf", "above 0"), (SIGNER + "[base]\nmax-age-days = nan", "above 0"),
        (SIGNER + "[scan]\nmax-age-days = true", "above 0"), (SIGNER + "[scan]\nrequired = false", "what can be asked"),
        ("x = " + "[" * 100_000, "policy.toml"), (SIGNER + "[[signer]]", "needs either"), (SIGNER + SIGNER.replace("key", "keys"), "no key 'keys'"),
        (SIGNER + '[rebuild]\nverifier = "x"', "no key 'verifier'"), ("x = [", "policy.toml"),
    ],
)  # fmt: skip
def test_a_policy_that_asks_for_nothing_or_is_misspelt_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(PolicyError, match=says):
        policy.read(tmp_path / "policy.toml")


def test_a_policy_is_read_with_paths_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(POLICY.format(revision="abc"))
    found = policy.read(tmp_path / "policy.toml")
    assert found.signers[0].key == tmp_path / "key.pub"
    assert found.provenance and found.provenance.revision == ("abc",)
    assert (found.sbom, found.vex, found.scan, found.scan_max_age) == (True, True, True, 7.0)


def test_a_star_alone_is_special_in_a_pattern() -> None:
    assert policy.matches("a[b]c/d", ("a[b]*",))
    assert not policy.matches("ab", ("a[b]",))
    assert not policy.matches("ab", ("a?",))
