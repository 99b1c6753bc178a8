"""Images in a repository of a registry (OCI distribution-spec v1.1)."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urljoin

import httpx

from images.digest import Digest
from images.errors import ImageError
from registry import content
from registry.content import Descriptor, Manifest
from registry.errors import Corrupt, Interrupted, NotFound, RegistryError
from registry.reference import Repository
from registry.transport import Settings, Stuck, Transport

_ACCEPT = ", ".join(content.MANIFESTS)
_CHUNK = 64 << 20
"""Bytes that are sent in one request: a lost connection costs no more than that where a registry forgets the rest."""
_MAX_PAGES = 100
_LOCK = threading.Lock()
T = TypeVar("T")


class Remote:
    """A repository of a registry."""

    def __init__(self, repository: Repository, settings: Settings, chunk: int = _CHUNK) -> None:
        self.repository = repository
        self.chunk = chunk
        self.transport = Transport(repository.api_host, repository.host, settings)
        self._api = f"/v2/{repository.path}"
        self._pull = f"repository:{repository.path}:pull"
        self._push = f"repository:{repository.path}:pull,push"
        self._writes = False
        self.referrers_api: bool | None = None

    def __str__(self) -> str:
        return str(self.repository)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    @property
    def _scope(self) -> str:
        # One token for a run that writes, so that it logs in once.
        return self._push if self._writes else self._pull

    def for_writing(self) -> Remote:
        """The same repository, asking for the right to push from the start."""
        self._writes = True
        return self

    # Reading

    def resolve(self, name: str | None) -> Descriptor:
        if not name:
            raise NotFound(f"{self}: which image? Give a tag or digest: {self}:TAG")
        return self._manifest(name).descriptor

    def manifest(self, digest: Digest) -> Manifest:
        return self._manifest(str(digest))

    def _manifest(self, name: str) -> Manifest:
        where = f"{self}{'@' if ':' in name else ':'}{name}"

        def ask() -> Manifest:
            with self.transport.request(
                "GET", f"{self._api}/manifests/{name}", self._scope, (200,), {"Accept": _ACCEPT}
            ) as answer:
                data = self.transport.read(answer, content.MAX_MANIFEST)
                media = answer.headers.get("Content-Type", "")
            if name.startswith("sha256:"):
                content.checked(data, Digest.parse(name), where)
            return content.manifest(data, media, where)

        try:
            return self._patiently(ask, f"GET {where}")
        except NotFound:
            raise NotFound(f"{where} does not exist there") from None

    @contextmanager
    def blob(self, wanted: Descriptor) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="blob-") as folder:
            path = Path(folder) / wanted.digest.hex
            path.touch()
            self._patiently(lambda: self._download(wanted, path), f"blob {wanted.digest}")
            if (found := Digest.of_file(path)) != wanted.digest:
                raise Corrupt(f"{self}: blob {wanted.digest} was asked for, and what came has digest {found}")
            yield path

    def _download(self, wanted: Descriptor, path: Path) -> None:
        """Fetch what is missing of a blob; goes on where a lost connection stopped (RFC 9110, section 14)."""
        have = path.stat().st_size
        if have == wanted.size:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            with self.transport.request(
                "GET", f"{self._api}/blobs/{wanted.digest}", self._scope, (200, 206), headers
            ) as answer:
                with path.open("ab" if answer.status_code == 206 else "wb") as file:
                    size = file.tell()
                    for part in self.transport.stream(answer):
                        size += len(part)
                        if size > wanted.size:
                            raise Corrupt(f"{self}: blob {wanted.digest} is longer than its {wanted.size} bytes")
                        file.write(part)
        except NotFound:
            raise NotFound(f"{self} has no blob {wanted.digest}") from None
        if size != wanted.size:
            raise Stuck(f"it ended after {size} of {wanted.size} bytes")

    def referrers(self, subject: Digest) -> list[Manifest]:
        listed = self._listed(subject)
        found = {}
        for each in listed:
            # The list is only a hint: registries copy artifactType wrongly, and anyone may write the fallback tag.
            try:
                value = self.manifest(each.digest)
            except NotFound:
                continue
            if value.subject and value.subject.digest == subject:
                found[value.digest] = value
        return [found[digest] for digest in sorted(found)]

    def _listed(self, subject: Digest) -> tuple[Descriptor, ...]:
        """The referrers by the API, page by page, or by the fallback tag ("Unavailable Referrers API")."""
        if self.referrers_api is not False:
            found: list[Descriptor] = []
            url = f"{self._api}/referrers/{subject}"
            for _ in range(_MAX_PAGES):
                page = self._page(url)
                if page is None:
                    break
                self.referrers_api = True
                found += page[0]
                if not page[1]:
                    return tuple(found)
                url = urljoin(self.transport.base + url, page[1])
            if self.referrers_api:
                raise RegistryError(f"{self}: the referrers of {subject} have more than {_MAX_PAGES} pages")
            self.referrers_api = False
        try:
            return self._manifest(fallback_tag(subject)).manifests
        except NotFound:
            return ()

    def _page(self, url: str) -> tuple[tuple[Descriptor, ...], str] | None:
        def ask() -> tuple[tuple[Descriptor, ...], str] | None:
            # Without the API some registries answer 404, some something else: whatever is no index counts as none.
            with self.transport.request("GET", url, self._scope, (200, 400, 404, 405, 406, 501)) as answer:
                if answer.status_code != 200:
                    return None
                data = self.transport.read(answer, content.MAX_MANIFEST)
                link = _next(answer.headers.get("Link", ""))
                if content.INDEX not in answer.headers.get("Content-Type", ""):
                    return None
            return content.manifest(data, content.INDEX, f"{self}: referrers").manifests, link

        return self._patiently(ask, "GET referrers")

    # Writing

    def has(self, wanted: Descriptor) -> bool:
        kind = "manifests" if wanted.media_type in content.MANIFESTS else "blobs"
        with self.transport.request(
            "HEAD", f"{self._api}/{kind}/{wanted.digest}", self._scope, (200, 404), {"Accept": _ACCEPT}
        ) as answer:
            if answer.status_code == 404:
                return False
            length = answer.headers.get("Content-Length")
            if length is not None and int(length) != wanted.size:
                raise Corrupt(f"{self}: {wanted.digest} has {length} bytes there, and {wanted.size} here")
            return True

    def put_blob(self, wanted: Descriptor, file: Path, elsewhere: Iterable[str] = ()) -> str:
        if self.has(wanted):
            return "there"
        for other in elsewhere:
            if place := self._start(f"?mount={wanted.digest}&from={quote(other, safe='')}", other):
                self._cancel(place)
            elif self.has(wanted):
                return "mounted"
        self._upload(wanted, file)
        return "sent"

    def _start(self, query: str = "", mounting: str = "") -> str:
        """Begin an upload; its place, or nothing when the blob was mounted."""
        scope = f"{self._push} repository:{mounting}:pull" if mounting else self._push
        with self.transport.request("POST", f"{self._api}/blobs/uploads/{query}", scope, (201, 202)) as answer:
            if answer.status_code == 201:
                return ""
            return self._place(answer)

    def _place(self, answer: httpx.Response) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise RegistryError(f"{self}: an upload was begun, but the registry does not say where it goes on")
        return str(urljoin(str(answer.request.url), location))

    def _cancel(self, place: str) -> None:
        try:
            with self.transport.request("DELETE", place, self._push, (200, 202, 204, 404, 405), again=False):
                pass
        except RegistryError:
            pass

    def _upload(self, wanted: Descriptor, file: Path) -> None:
        """Send a blob in chunks; after a lost connection, from where the registry says it has got."""
        place, offset, lost = self._start(), 0, 0
        while True:
            try:
                while offset < wanted.size:
                    place, offset = self._send(place, file, offset, wanted.size)
                return self._finish(place, wanted)
            except (Interrupted, NotFound) as error:
                lost += 1
                if lost >= self.transport.patience.attempts:
                    raise RegistryError(
                        f"{self}: blob {wanted.digest} could not be sent, {lost} times: {error}"
                    ) from None
                self.transport.wait(error.wait if isinstance(error, Interrupted) else 0.0, lost)
                if self.has(wanted):
                    return
                place, offset = self._where(place) or (self._start(), 0)

    def _send(self, place: str, file: Path, offset: int, size: int) -> tuple[str, int]:
        end = min(size, offset + self.chunk)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(end - offset)}
        if (offset, end) != (0, size):
            headers["Content-Range"] = f"{offset}-{end - 1}"
        with self.transport.request(
            "PATCH", place, self._push, (202, 204), headers, lambda: _slice(file, offset, end), again=False
        ) as answer:
            return self._place(answer), end

    def _finish(self, place: str, wanted: Descriptor) -> None:
        url = f"{place}{'&' if '?' in place else '?'}digest={quote(str(wanted.digest), safe='')}"
        with self.transport.request("PUT", url, self._push, (201, 204), {"Content-Length": "0"}, again=False) as answer:
            self._same(answer, wanted.digest)

    def _where(self, place: str) -> tuple[str, int] | None:
        """How far an upload has got ("Pushing a blob in chunks"); None where the registry has forgotten it."""
        try:
            with self.transport.request("GET", place, self._push, (204,)) as answer:
                match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
                got = int(match[1]) + 1 if match else 0
                # "0-0" stands for nothing as well as for one byte; sending from the start is always right.
                return (self._place(answer), got) if got > 1 else None
        except RegistryError:
            return None

    def _same(self, answer: httpx.Response, wanted: Digest) -> None:
        said = answer.headers.get("Docker-Content-Digest", "")
        if said and said != str(wanted):
            raise Corrupt(f"{self}: {wanted} was sent, and the registry says that it has {said}")

    def put_manifest(self, value: Manifest) -> None:
        answered = self._put(str(value.digest), value)
        if value.subject and answered != str(value.subject.digest):
            self._list(value.subject.digest, value.referrer)
        elif value.subject:
            self.referrers_api = True

    def tag(self, name: str, value: Manifest) -> None:
        self._put(name, value)

    def _put(self, name: str, value: Manifest) -> str:
        headers = {"Content-Type": value.media_type}
        with self.transport.request(
            "PUT", f"{self._api}/manifests/{name}", self._push, (201, 202), headers, value.data
        ) as answer:
            self._same(answer, value.digest)
            return str(answer.headers.get("OCI-Subject", ""))

    def _list(self, subject: Digest, new: Descriptor) -> None:
        """Add to the fallback index; read again, since nothing stops another writer in between."""
        self.referrers_api = False
        with _LOCK:
            for attempt in range(1, self.transport.patience.attempts + 1):
                listed = self._listed(subject)
                if new in listed:
                    return
                kept = [each for each in listed if each.digest != new.digest]
                entries = [each.to_json() for each in (*kept, new)]
                data = json.dumps(
                    {"schemaVersion": 2, "mediaType": content.INDEX, "manifests": entries},
                    sort_keys=True,
                    separators=(",", ":"),
                ).encode()
                self._put(fallback_tag(subject), content.manifest(data))
                if new in self._listed(subject):
                    return
                self.transport.wait(0.0, attempt)
        raise RegistryError(f"{self}: others keep changing the tag {fallback_tag(subject)}; run the same again later")

    def _patiently(self, ask: Callable[[], T], what: str) -> T:
        """Ask again where the connection was lost in the middle of an answer."""
        for attempt in range(1, self.transport.patience.attempts + 1):
            try:
                return ask()
            except (httpx.TransportError, Stuck) as error:
                problem = self.transport.interrupted(what, error)
            except ImageError as error:
                raise RegistryError(f"{self}: {error}") from None
            if attempt == self.transport.patience.attempts:
                break
            self.transport.wait(0.0, attempt)
        raise problem


def fallback_tag(subject: Digest) -> str:
    """The tag of the index that lists referrers where there is no API ("Referrers Tag Schema")."""
    return f"sha256-{subject.hex}"


def _slice(file: Path, start: int, end: int) -> Iterator[bytes]:
    with file.open("rb") as data:
        data.seek(start)
        while start < end and (part := data.read(min(1 << 18, end - start))):
            start += len(part)
            yield part


def _next(link: str) -> str:
    """The next page (RFC 8288), or nothing."""
    match = re.search(r'<([^>]*)>\s*;[^,]*rel="?next"?', link)
    return match[1] if match else ""
