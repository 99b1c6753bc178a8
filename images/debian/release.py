"""Signed indexes of a Debian archive: InRelease, then Packages.xz, each checked before it is read.

Trust runs from the archive's keyring to InRelease (an OpenPGP signature in the clear), from there by SHA-256 and size
to Packages.xz, and from there to each package (apt-secure(8), and the wiki's DebianRepository/Format).
"""

from __future__ import annotations

import datetime
import lzma
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from images.debian import http
from images.debian.control import relations, stanzas
from images.debian.mirror import Mirrors
from images.debian.package import Candidate, Index, Package
from images.digest import Digest
from images.errors import ImageError

SUITES = (("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security"))
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_STAMP = "%Y%m%dT%H%M%SZ"
MAX_INRELEASE = 4 << 20
MAX_PACKAGES = 512 << 20
"""Bytes of an index, unpacked; trixie's is 60 MB."""
_FIELDS = frozenset(
    (
        "package",
        "version",
        "architecture",
        "depends",
        "pre-depends",
        "provides",
        "conflicts",
        "breaks",
        "filename",
        "size",
    )
) | {"sha256"}


@dataclass(frozen=True)
class Signed:
    """The content of a Release file: dates in UTC, and `files` by path as pairs of digest and size in bytes.

    `suite` is the other name that the same suite has (`stable` of `trixie`).
    """

    codename: str
    suite: str
    date: datetime.datetime
    valid_until: datetime.datetime | None
    files: Mapping[str, tuple[Digest, int]]


def keyring(environ: Mapping[str, str]) -> Path:
    """The archive keyring: DEBIAN_KEYRING or the one that Debian's package installs; ImageError if missing."""
    path = Path(environ.get("DEBIAN_KEYRING") or KEYRING)
    if not path.is_file():
        raise ImageError(
            f"{path}: no Debian archive keyring there; install the package debian-archive-keyring, "
            "or set DEBIAN_KEYRING to a keyring file"
        )
    return path


def verify(inrelease: bytes, keys: Path, name: str) -> str:
    """The text that a keyring's owner signed in InRelease; raises ImageError if no good signature stands on it.

    Only what the verifier puts out is returned: text before or after the signed part never counts.
    """
    with tempfile.TemporaryDirectory(prefix="inrelease-") as folder:
        source, target = Path(folder, "InRelease"), Path(folder, "Release")
        source.write_bytes(inrelease)
        if shutil.which("gpgv"):
            # Several keys sign; an unknown one among them makes gpgv fail, so the status lines decide: one valid
            # signature, none bad.
            command = [
                "gpgv",
                "--status-fd",
                "1",
                "--keyring",
                str(keys.resolve()),
                "--output",
                str(target),
                str(source),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            words = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("[GNUPG:] ")}
            good = "VALIDSIG" in words and not words & {"BADSIG", "FAILURE"}
        elif shutil.which("sqv"):
            command = ["sqv", "--keyring", str(keys), "--cleartext", "--output", str(target), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            good = done.returncode == 0
        else:
            raise ImageError("no OpenPGP verifier: install gpgv or sqv, which check the signature of Debian's indexes")
        if not good or not target.is_file():
            detail = (done.stderr.strip().splitlines() or ["no valid signature"])[-1]
            raise ImageError(f"{name}: the signature of InRelease does not verify with {keys.name} ({detail}); refused")
        return target.read_text(encoding="utf-8")


def parse(text: str, name: str) -> Signed:
    """The signed text of a Release file; raises ImageError naming what is missing."""
    stanza = next(stanzas(text, name), {})
    files = {}
    for line in stanza.get("sha256", "").splitlines():
        if line.strip():
            try:
                digest, size, path = line.split()
                files[path] = (Digest(digest), int(size))
            except ValueError as error:
                raise ImageError(f"{name}: SHA256 entry {line!r} is not 'digest size path'") from error
    if not files or "date" not in stanza:
        raise ImageError(f"{name}: this Release has no {'Date' if files else 'SHA256'} field")
    until = stanza.get("valid-until")
    return Signed(stanza.get("codename", ""), stanza.get("suite", ""), _date(stanza["date"], name), _date(until, name) if until else None, files)


def _date(text: str, name: str) -> datetime.datetime:
    try:
        when = parsedate_to_datetime(text)
    except ValueError as error:
        raise ImageError(f"{name}: {text!r} is no date") from error
    return when.astimezone(datetime.UTC) if when.tzinfo else when.replace(tzinfo=datetime.UTC)


def check(signed: Signed, suite: str, now: datetime.datetime, name: str, expired: bool = False) -> None:
    """Refuse (ImageError) a release of another suite, one from the future, or (unless `expired`) past its Valid-Until."""
    if signed.codename != suite:
        raise ImageError(f"{name}: this is {signed.codename!r}, not {suite!r}; the mirror mixes suites")
    if signed.date > now + datetime.timedelta(days=1):
        raise ImageError(f"{name}: dated {signed.date:%Y-%m-%d %H:%M}, in the future; check this machine's clock")
    if signed.valid_until is not None and signed.valid_until < now and not expired:
        raise ImageError(
            f"{name}: expired on {signed.valid_until:%Y-%m-%d %H:%M} (Valid-Until); the mirror is stale, use another, or take it as it is with --expired"
        )


class Unmatched(ImageError):
    """No mirror has the index that a Release signs."""


def fetch(
    archive: str,
    suite: str,
    architecture: str,
    mirrors: Mirrors,
    keys: Path,
    now: datetime.datetime,
    expired: bool = False,
) -> tuple[Index, list[Candidate]]:
    """The current release of a suite and the candidates of its main component; everything is verified.

    A mirror in the middle of an update can have the Release of one day and an index of another. Such an index is refused
    and asked for by its hash. If that is not there either, the Release under the suite's other name is read, which can be
    the one before; its index has to be the one that it signs all the same.

    Raises:
        Unmatched: no Release of the suite signs an index that can be had.
        ImageError: a signature, a date or a name is not what it has to be, or nothing can be had.
    """
    refused: list[str] = []
    names = [suite]
    for called in names:
        try:
            signed, digest = _signed(archive, called, suite, mirrors, keys, now, expired)
        except ImageError as error:
            if not refused:
                raise
            raise Unmatched("; and ".join([*refused, str(error)])) from None
        path = f"main/binary-{architecture}/Packages.xz"
        name = f"{archive} {suite}"
        if path not in signed.files:
            raise ImageError(f"{name}: the Release lists no {path}; is {architecture} an architecture of this suite?")
        try:
            packed = _index(archive, called, path, *signed.files[path], mirrors, now.strftime(_STAMP))
        except Unmatched as error:
            refused.append(str(error))
            if signed.suite not in ("", *names):
                names.append(signed.suite)
            continue
        release = Index(archive, suite, signed.date.strftime(_STAMP), digest, signed.files[path][0].hex, architecture)
        return release, list(candidates(_unxz(packed, name), archive, f"{name} {path}"))
    raise Unmatched("; and ".join(refused) + "; nothing of it is used: try again later, or set DEBIAN_MIRROR to another")


def _signed(
    archive: str, called: str, suite: str, mirrors: Mirrors, keys: Path, now: datetime.datetime, expired: bool
) -> tuple[Signed, str]:
    """A Release whose signature and dates are good, and the SHA-256 of its InRelease in hex."""
    name = f"{archive} {called}"
    inrelease = _first(mirrors.url(archive, f"dists/{called}/InRelease", now.strftime(_STAMP)), MAX_INRELEASE)
    signed = parse(verify(inrelease, keys, name), name)
    check(signed, suite, now, name, expired)
    return signed, Digest.of(inrelease).hex


def _first(urls: list[str], limit: int) -> bytes:
    failures = []
    for url in urls:
        try:
            return http.get(url, limit)
        except (http.Absent, http.Unreachable) as error:
            failures.append(str(error))
    raise ImageError("; ".join(failures) + "; set DEBIAN_MIRROR to a mirror that works")


def _index(archive: str, suite: str, path: str, digest: Digest, size: int, mirrors: Mirrors, stamp: str) -> bytes:
    """The index, by hash first: the plain name can belong to the next release while a mirror is being renewed."""
    folder = path.rpartition("/")[0]
    reasons = []
    for name in (f"{folder}/by-hash/SHA256/{digest.hex}", path):
        for url in mirrors.url(archive, f"dists/{suite}/{name}", stamp):
            try:
                data = http.get(url, size)
            except ImageError as error:
                reasons.append(str(error))
                continue
            found = Digest.of(data)
            if found == digest and len(data) == size:
                return data
            reasons.append(f"{url}: {found}, {len(data)} bytes; the signed Release says {digest}, {size} bytes")
    raise Unmatched(f"{archive} {suite}: no index that matches its signed Release: " + "; ".join(reasons))


def _unxz(data: bytes, name: str) -> str:
    try:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
        text = decoder.decompress(data, MAX_PACKAGES)
    except lzma.LZMAError as error:
        raise ImageError(f"{name}: Packages.xz can't be unpacked: {error}") from error
    if not decoder.eof:
        raise ImageError(f"{name}: Packages.xz is cut short or unpacks to more than {MAX_PACKAGES} bytes")
    return text.decode("utf-8")


def candidates(text: str, archive: str, where: str) -> Iterator[Candidate]:
    """The packages of a Packages index as candidates of a resolver."""
    for chunk in text.split("\n\n"):
        stanza: dict[str, str] = {}
        for line in chunk.split("\n"):
            # The fields wanted here never fold in an index; descriptions do and are skipped.
            name, colon, value = line.partition(": ")
            if colon and name.lower() in _FIELDS:
                stanza[name.lower()] = value
        if stanza:
            yield _candidate(stanza, archive, where)


def _candidate(stanza: dict[str, str], archive: str, where: str) -> Candidate:
    try:
        package = Package(
            stanza["package"], stanza["version"], stanza["architecture"], archive,
            int(stanza["size"]), stanza["sha256"], stanza["filename"],
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise ImageError(f"{where}: package {stanza.get('package', '?')}: missing or wrong field: {error}") from error
    return Candidate(
        package,
        relations(stanza.get("pre-depends", "")) + relations(stanza.get("depends", "")),
        tuple(group[0] for group in relations(stanza.get("provides", ""))),
        tuple(group[0] for field in ("conflicts", "breaks") for group in relations(stanza.get(field, ""))),
    )
