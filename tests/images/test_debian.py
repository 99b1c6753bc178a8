"""Locks, versions, resolution, signatures and packages of Debian roots; no network."""

from __future__ import annotations

import datetime
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from images.debian import deb, fetch, lock, release, update, version
from images.debian import http as downloads
from images.debian.mirror import Mirrors, mirrors
from images.debian.resolve import Universe, resolve
from images.errors import ImageError
from tests.parts.archive import PACKAGES, release_text, sign

BASES = Path(__file__).parents[2] / "bases"
NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
HASH = "ab" * 32


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0~rc1", "1.0"), ("1.0~~", "1.0~~a"), ("1.0~~a", "1.0~"), ("1.0", "1.0a"), ("1.9", "1.10"), ("9.9", "1:0.1"),
        ("1.0-1", "1.0-1+b1"), ("1.0-1", "1.0-1.1"), ("1.0-1~bpo1", "1.0-1"), ("1.0", "1.0-1"), ("1.0a", "1.0+"),
        ("2.41-12", "2.41-12+deb13u5"), ("1.0-9-1", "1.0-10-1"), ("0.8.5-4", "0.8.5-4+b1"),
    ],
)  # fmt: skip
def test_versions_are_ordered_as_dpkg_orders_them(older: str, newer: str) -> None:
    assert version.compare(older, newer) == -1
    assert version.compare(newer, older) == 1


@pytest.mark.parametrize(("one", "other"), [("0:1.0", "1.0"), ("1.00", "1.0"), ("1.0-0", "1.0")])
def test_versions_that_are_spelled_differently_can_be_equal(one: str, other: str) -> None:
    assert version.compare(one, other) == 0


def universe(text: str) -> Universe:
    """Stanzas with name, version and relations; the rest is filled in."""
    filler = f"Architecture: amd64\nSize: 1\nSHA256: {HASH}\nFilename: pool/x.deb"
    whole = "\n\n".join(f"{stanza.strip()}\n{filler}" for stanza in text.strip().split("\n\n"))
    return Universe(release.candidates(whole, "debian", "test"), "amd64")


def names(text: str, *wanted: str, without: tuple[str, ...] = ()) -> list[str]:
    return [f"{each.name}={each.version}" for each in resolve(universe(text), wanted, without)]


def test_the_newest_version_of_all_suites_wins() -> None:
    assert names("Package: aa\nVersion: 1\n\nPackage: aa\nVersion: 1+deb13u1", "aa") == ["aa=1+deb13u1"]


def test_an_older_version_is_taken_where_the_relation_says_so() -> None:
    text = "Package: aa\nVersion: 1\nDepends: bb (= 1)\n\nPackage: bb\nVersion: 1\n\nPackage: bb\nVersion: 2"
    assert names(text, "aa") == ["aa=1", "bb=1"]


def test_a_chosen_package_answers_an_alternative_that_is_not_first() -> None:
    text = "Package: aa\nVersion: 1\nDepends: bb | cc, dd\n\nPackage: bb\nVersion: 1\n\nPackage: cc\nVersion: 1\n\n"
    assert names(text + "Package: dd\nVersion: 1\nDepends: cc", "aa") == ["aa=1", "cc=1", "dd=1"]


def test_a_virtual_package_needs_a_versioned_provides_for_a_versioned_relation() -> None:
    text = "Package: aa\nVersion: 1\nDepends: virt (>= 2)\n\nPackage: bb\nVersion: 1\nProvides: virt\n\n"
    assert names(text + "Package: cc\nVersion: 1\nProvides: virt (= 3)", "aa") == ["aa=1", "cc=1"]


def test_what_is_left_out_counts_as_present_and_qualifiers_are_understood() -> None:
    text = "Package: aa\nVersion: 1\nPre-Depends: dpkg (>= 9)\nDepends: bb:any\n\nPackage: bb\nVersion: 1"
    assert names(text, "aa", without=("dpkg",)) == ["aa=1", "bb=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Package: aa\nVersion: 1\nDepends: zz (>= 2)", r"aa needs zz \(>= 2\)"),
        ("Package: aa\nVersion: 1\nDepends: bb\n\nPackage: bb\nVersion: 1\nConflicts: aa", "exclude each other"),
        ("Package: bb\nVersion: 1", "package aa is wanted"),
    ],
)
def test_what_cannot_be_resolved_names_the_culprit(text: str, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        names(text, "aa")


@pytest.mark.parametrize("path", sorted(BASES.glob("*.lock")), ids=lambda path: path.stem)
def test_a_lock_round_trips_byte_for_byte(path: Path) -> None:
    assert lock.write(lock.read(path)) == path.read_text()


def small_lock(content: bytes = b"x") -> lock.Lock:
    index = lock.Index("debian", "trixie", "20260101T000000Z", HASH, HASH, "amd64")
    digest = hashlib.sha256(content).hexdigest()
    return lock.Lock("r", (index,), (lock.Package("aa", "1", "amd64", "debian", len(content), digest, "pool/aa.deb"),))


def test_the_text_of_a_lock_is_exact() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    assert lock.write(small_lock()) == (
        "# root r: written by `make lock`, read by `make build`; never edited by hand\n"
        f"archive debian trixie 20260101T000000Z release sha256:{HASH} index sha256:{HASH} amd64\n"
        f"package aa 1 amd64 debian 1 sha256:{digest} pool/aa.deb\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("pool/aa.deb", "../aa.deb"), ("sha256:", "md5:"), (" 1 sha", " x sha"), ("package aa", "pakage aa"),
     ("1 amd64 debian", "1 amd64 ubuntu"), ("package aa 1 amd64", "package aa 1 arm64")],
)  # fmt: skip
def test_a_broken_lock_is_refused_with_file_and_line(old: str, new: str) -> None:
    head, _, last = lock.write(small_lock()).rstrip("\n").rpartition("\n")
    with pytest.raises(ImageError, match=r"r\.lock:3: not a line of a lock"):
        lock.parse(f"{head}\n{last.replace(old, new)}\n", "r.lock")


def test_a_release_older_than_the_locked_one_is_refused() -> None:
    older = lock.Index("debian", "trixie", "20251231T000000Z", HASH, HASH, "amd64")
    with pytest.raises(ImageError, match="older than the locked"):
        update.refuse_rollback(small_lock(), [older])


def serve(monkeypatch: pytest.MonkeyPatch, pages: dict[str, bytes]) -> None:
    """An archive in memory behind the one function that opens connections."""

    def once(url: str, target: io.BytesIO, limit: int) -> int:
        if url not in pages:
            raise downloads.Absent(f"{url}: not there (HTTP 404)")
        return target.write(pages[url])

    monkeypatch.setattr(downloads, "_once", once)


ARCHIVE = Mirrors((("debian", "http://mirror.example/debian"),))


def test_a_package_with_another_hash_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"http://mirror.example/debian/pool/aa.deb": b"y"})
    locked = small_lock()
    with pytest.raises(ImageError, match="package aa 1 of root r has digest"):
        fetch.fetch(locked.packages[0], locked, ARCHIVE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_corrupt_cached_package_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"http://mirror.example/debian/pool/aa.deb": b"x"})
    locked = small_lock()
    (tmp_path / f"{locked.packages[0].sha256}.deb").write_bytes(b"rotten")
    assert fetch.fetch(locked.packages[0], locked, ARCHIVE, tmp_path).read_bytes() == b"x"


def test_a_version_that_is_gone_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {})
    locked = small_lock()
    with pytest.raises(ImageError, match=r"DEBIAN_SNAPSHOT.*make lock"):
        fetch.fetch(locked.packages[0], locked, ARCHIVE, tmp_path)


def test_the_snapshot_archive_stands_behind_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, {"http://snap.example/archive/debian/20260101T000000Z/pool/aa.deb": b"x"})
    locked, both = small_lock(), Mirrors(ARCHIVE.archives, "http://snap.example")
    assert fetch.fetch(locked.packages[0], locked, both, tmp_path).read_bytes() == b"x"


def test_mirrors_come_from_apt_sources_and_what_is_disabled_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://no.example/debian x main\ndeb-src http://no.example/debian x\n"
    )
    (tmp_path / "sources.list.d/a.list").write_text(
        "deb [arch=amd64 signed-by=/k] http://a.example/debian/ trixie main\n"
    )
    (tmp_path / "sources.list.d/b.sources").write_text(
        "Types: deb\nURIs: http://b.example/debian-security\nSuites: x\n\nTypes: deb\nEnabled: no\nURIs: http://c.example/debian\n"
    )
    found = mirrors({}, tmp_path).archives
    assert found == (("debian", "http://a.example/debian"), ("debian-security", "http://b.example/debian-security"))


def test_the_security_mirror_is_derived_and_none_at_all_says_what_to_set(tmp_path: Path) -> None:
    assert mirrors({"DEBIAN_MIRROR": "http://m.example/debian/"}, tmp_path).url("debian-security", "p", "") == [
        "http://m.example/debian-security/p"
    ]
    with pytest.raises(ImageError, match=r"DEBIAN_MIRROR.*DEBIAN_SNAPSHOT"):
        mirrors({}, tmp_path)


def get(
    signer: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, inrelease: bytes, packages: bytes = PACKAGES
) -> int:
    base = "http://mirror.example/debian/dists/trixie"
    serve(monkeypatch, {f"{base}/InRelease": inrelease, f"{base}/main/binary-amd64/Packages.xz": packages})
    return len(release.fetch("debian", "trixie", "amd64", ARCHIVE, signer[1], NOW)[1])


def test_a_signed_release_is_read(signer: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert get(signer, monkeypatch, sign(signer[0], release_text())) == 1


def test_a_tampered_release_is_refused(signer: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    changed = sign(signer[0], release_text()).replace(b"Codename: trixie", b"Codename: triste")
    with pytest.raises(ImageError, match="signature of InRelease does not verify"):
        get(signer, monkeypatch, changed)
    with pytest.raises(ImageError, match="signature of InRelease does not verify"):
        get(signer, monkeypatch, release_text().encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [(release_text(until="Thu, 01 Jan 2026 12:00:00 UTC"), "expired"), (release_text(codename="sid"), "mixes suites")],
)
def test_a_stale_or_foreign_release_is_refused(
    text: str, message: str, signer: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match=message):
        get(signer, monkeypatch, sign(signer[0], text))


def test_an_index_that_is_not_the_signed_one_is_refused(
    signer: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match="no index that matches its signed Release"):
        get(signer, monkeypatch, sign(signer[0], release_text()), PACKAGES[:-1] + b"!")


def package(entry: tarfile.TarInfo, content: bytes = b"", name: bytes = b"data.tar.xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    data = buffer.getvalue()
    return b"!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name, 0, 0, 0, 0o644, len(data)) + data


def test_files_of_a_package_are_read_and_extracted(tmp_path: Path) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(package(tarfile.TarInfo("./usr/bin/tool"), b"tool"))
    assert [each.name for each in deb.files(path)] == ["usr/bin/tool"]
    assert deb.read_file(path, "usr/bin/tool") == b"tool"
    deb.extract(path, tmp_path / "out", lambda name: name.startswith("etc"))
    assert not (tmp_path / "out/usr").exists()
    deb.extract(path, tmp_path / "out")
    assert (tmp_path / "out/usr/bin/tool").read_bytes() == b"tool"


def link(target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def device() -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.type = tarfile.CHRTYPE
    return info


@pytest.mark.parametrize("entry", [tarfile.TarInfo("../x"), link("../../x"), device()], ids=["name", "link", "device"])
def test_a_hostile_package_is_refused(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(package(entry))
    with pytest.raises(ImageError, match=r"a\.deb cannot be unpacked"):
        deb.extract(path, tmp_path / "out")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"no", "not a Debian package"), (package(tarfile.TarInfo("x"))[:90], "cut short"),
     (package(tarfile.TarInfo("x"), name=b"data.tar.zst"), "zstd")],
)  # fmt: skip
def test_a_damaged_package_says_so(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message):
        deb.extract(path, tmp_path / "out")
