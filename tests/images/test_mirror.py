"""A mirror on loopback that is in the middle of an update: what is refused, and what is taken instead."""

from __future__ import annotations

import datetime
import functools
import hashlib
import http.server
import lzma
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from images.debian import release
from images.debian.mirror import Mirrors
from images.errors import ImageError
from tests.parts.archive import HASH, PACKAGES, release_text, sign

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
YESTERDAY = lzma.compress(
    f"Package: zz\nVersion: 1\nArchitecture: amd64\nSize: 1\nSHA256: {HASH}\nFilename: p/z.deb\n".encode()
)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, Mirrors]]:
    """An archive's folder `dists`, and a server on loopback for it."""
    (tmp_path / "debian/dists").mkdir(parents=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield tmp_path / "debian/dists", Mirrors((("debian", f"http://127.0.0.1:{server.server_port}/debian"),))
        server.shutdown()
        thread.join()


def publish(suite: Path, inrelease: bytes, packages: bytes, *by_hash: bytes) -> None:
    folder = suite / "main/binary-amd64"
    (folder / "by-hash/SHA256").mkdir(parents=True)
    (suite / "InRelease").write_bytes(inrelease)
    (folder / "Packages.xz").write_bytes(packages)
    for each in by_hash:
        (folder / "by-hash/SHA256" / hashlib.sha256(each).hexdigest()).write_bytes(each)


def taken(mirror: tuple[Path, Mirrors], keys: Path, expired: bool = False) -> tuple[str, list[str]]:
    index, found = release.fetch("debian", "trixie", "amd64", mirror[1], keys, NOW, expired)
    return index.timestamp, [each.package.name for each in found]


def test_an_index_of_another_day_is_left_and_the_signed_one_is_taken_by_its_hash(
    signer: tuple[Path, Path], mirror: tuple[Path, Mirrors]
) -> None:
    publish(mirror[0] / "trixie", sign(signer[0], release_text()), YESTERDAY, PACKAGES)
    assert taken(mirror, signer[1]) == ("20260101T000000Z", ["aa"])


def test_a_mirror_in_the_middle_of_an_update_is_refused_with_both_digests(
    signer: tuple[Path, Path], mirror: tuple[Path, Mirrors]
) -> None:
    text = "Suite: stable\n" + release_text()
    publish(mirror[0] / "trixie", sign(signer[0], text), YESTERDAY)
    # Under the suite's other name there is the same: a Release that signs what is not there.
    publish(mirror[0] / "stable", sign(signer[0], text), YESTERDAY)
    with pytest.raises(release.Unmatched) as refused:
        taken(mirror, signer[1])
    for each in (PACKAGES, YESTERDAY):
        assert hashlib.sha256(each).hexdigest() in str(refused.value)
    assert "nothing of it is used" in str(refused.value)


def test_the_release_before_is_taken_under_the_other_name_where_it_signs_what_the_mirror_has(
    signer: tuple[Path, Path], mirror: tuple[Path, Mirrors]
) -> None:
    publish(mirror[0] / "trixie", sign(signer[0], "Suite: stable\n" + release_text()), YESTERDAY)
    before = release_text(YESTERDAY).replace("Thu, 01 Jan 2026", "Wed, 31 Dec 2025")
    publish(mirror[0] / "stable", sign(signer[0], before), YESTERDAY)
    assert taken(mirror, signer[1]) == ("20251231T000000Z", ["zz"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda home, text: text.encode(), "signature of InRelease does not verify"),
        (lambda home, text: sign(home, text.replace("Codename: trixie", "Codename: bookworm")), "mixes suites"),
        (lambda home, text: sign(home, text.replace("10 Jan 2026", "01 Jan 2026")), "expired"),
    ],
)
def test_a_release_under_the_other_name_has_to_be_signed_of_the_suite_and_in_force(
    signer: tuple[Path, Path], mirror: tuple[Path, Mirrors], spoil: Callable[[Path, str], bytes], message: str
) -> None:
    publish(mirror[0] / "trixie", sign(signer[0], "Suite: stable\n" + release_text()), YESTERDAY)
    publish(mirror[0] / "stable", spoil(signer[0], release_text(YESTERDAY)), YESTERDAY)
    with pytest.raises(release.Unmatched, match=message):
        taken(mirror, signer[1])
    if message == "expired":
        assert taken(mirror, signer[1], expired=True)[1] == ["zz"]


def test_a_release_that_signs_no_such_architecture_says_so(
    signer: tuple[Path, Path], mirror: tuple[Path, Mirrors]
) -> None:
    publish(mirror[0] / "trixie", sign(signer[0], release_text()), PACKAGES)
    with pytest.raises(ImageError, match=r"main/binary-m68k/Packages\.xz; is m68k an architecture of this suite"):
        release.fetch("debian", "trixie", "m68k", mirror[1], signer[1], NOW)
