"""References and places as people write them; no network."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.digest import Digest
from registry import place, reference
from registry.errors import RegistryError

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("text", "host", "path", "tag", "digest"),
    [
        ("ghcr.io/cift/api", "ghcr.io", "cift/api", None, None),
        ("localhost:5000/x", "localhost:5000", "x", None, None),
        ("localhost/x:1", "localhost", "x", "1", None),
        ("[::1]:5000/a/b:t", "[::1]:5000", "a/b", "t", None),
        (f"h.example:5000/a@sha256:{HEX}", "h.example:5000", "a", None, HEX),
        (f"h.example/a:t@sha256:{HEX}", "h.example", "a", "t", HEX),
        ("docker.io/python:3", "docker.io", "library/python", "3", None),
        ("index.docker.io/a/b", "docker.io", "a/b", None, None),
        ("r.example/a-b/c__d/e.f:v1.0_x-y", "r.example", "a-b/c__d/e.f", "v1.0_x-y", None),
    ],
)
def test_a_reference_is_parsed_into_its_parts(text: str, host: str, path: str, tag: str, digest: str) -> None:
    found = reference.parse(text)
    assert (found.repository.host, found.repository.path, found.tag) == (host, path, tag)
    assert found.digest == (Digest(digest) if digest else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cift/api", "names no registry"), ("api", "names no registry"), ("", "names no registry"),
        ("ghcr.io/", "is no repository"), ("ghcr.io/CIFT/api", "is no repository"), ("ghcr.io/a//b", "is no repository"),
        ("ghcr.io/../x", "is no repository"), ("ghcr.io/a:", "is no tag"), ("ghcr.io/a:-x", "is no tag"),
        ("ghcr.io/a:" + "x" * 129, "is no tag"), ("ghcr.io/a@sha256:12", "no SHA-256"), ("ghcr.io/a@md5:12", "no digest"),
        ("user:pw@ghcr.io/a", "names no registry"), ("gh cr.io/a", "no host"), ("ghcr.io:x/a", "no host"),
        ("ghcr.io/" + "a" * 250, "is no repository"), ("https://ghcr.io/a", "no host"),
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        reference.parse(text)


def test_docker_hub_is_asked_where_its_api_is() -> None:
    assert reference.parse("docker.io/cift/api").repository.api_host == "registry-1.docker.io"


def test_a_folder_is_told_from_a_reference(tmp_path: Path) -> None:
    assert place.parse(f"{tmp_path}") == place.Local(tmp_path)
    assert place.parse(f"oci:{tmp_path}:v1") == place.Local(tmp_path, "v1")
    assert place.parse(f"{tmp_path}@sha256:{HEX}") == place.Local(tmp_path, f"sha256:{HEX}")
    assert isinstance(place.parse("ghcr.io/cift/api:1"), reference.Reference)
