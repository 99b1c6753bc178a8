"""Images from and to a registry (OCI distribution-spec v1.1), every byte checked against its digest."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from engine.errors import EngineError
from engine.graph import Container
from engine.oci import build, chosen_manifest
from engine.store import remove_tree
from engine.tree import EMPTY, Entry
from engine.unpack import apply_layer

if TYPE_CHECKING:
    from engine.solve import Solver

_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Reference:
    """An image's address: host with port, repository, and a tag or a digest or both."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str, host_alone: bool = False) -> Reference:
        """The reference of a text, with Docker's defaults for host, ``library/`` and tag; perhaps only a host.

        Raises:
            EngineError: it is none.
        """
        rest, _, digest = text.partition("@")
        first, slash, after = rest.partition("/")
        named = "." in first or ":" in first or first == "localhost"
        if host_alone and not slash and named:
            return cls(first, "")
        host, path = (first, after) if slash and named else ("docker.io", rest)
        path, _, tag = path.partition(":")
        if host == "docker.io" and "/" not in path:
            path = f"library/{path}"
        if (
            not _PATH.fullmatch(path)
            or not (not tag or _TAG.fullmatch(tag))
            or not (not digest or _DIGEST.fullmatch(digest))
        ):
            raise EngineError(f"failed to parse image address {text}: invalid reference format")
        return cls(host, path, tag or ("" if digest else "latest"), digest)

    def __str__(self) -> str:
        return (
            f"{self.host}/{self.repository}"
            + (f":{self.tag}" if self.tag else "")
            + (f"@{self.digest}" if self.digest else "")
        )

    @property
    def local(self) -> bool:
        """Whether it is on this machine, where a registry may be served without TLS."""
        return urlsplit(f"//{self.host}").hostname in ("localhost", "127.0.0.1", "::1")

    def base(self, scheme: str) -> str:
        """Where its repository is served."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{scheme}://{host}/v2/{self.repository}/"


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that was pulled; its reference is with the digest that it was resolved to."""

    reference: str
    config: dict[str, Any]
    root: Entry


class _Registry:
    """One repository, with the session's credentials for its host or those of Docker's configuration."""

    def __init__(self, solver: Solver, reference: Reference) -> None:
        self._reference, self._authorization = reference, ""
        self._base = reference.base("https")
        self._user = solver.credentials.get(reference.host) or _configured(reference.host)

    def request(self, method: str, path: str, data: Any = None, **headers: str) -> Any:
        """An answer with a success status, authorized as the registry asks for.

        Raises:
            EngineError: no such thing, no such right, or no network.
        """
        asked_for_more = False
        while True:
            url = urljoin(self._base, path)
            asked = urllib.request.Request(url, data, method=method)
            for name, value in {"Authorization": self._authorization, **headers}.items():
                if value and (name != "Authorization" or url.startswith(self._base.partition("/v2/")[0])):
                    asked.add_unredirected_header(name.replace("_", "-"), value)
            try:
                return urllib.request.urlopen(asked, timeout=_TIMEOUT)
            except urllib.error.HTTPError as error:
                challenge = error.headers.get("WWW-Authenticate", "")
                if error.code == 401 and not asked_for_more and challenge:
                    asked_for_more = True
                    self._authorize(challenge)
                    if hasattr(data, "seek"):
                        data.seek(0)
                    continue
                raise EngineError(f"{self._reference}: {method} {path}: {error.code} {error.reason}") from None
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                if self._reference.local and self._base.startswith("https:") and _speaks_no_tls(reason):
                    self._base = self._reference.base("http")
                    continue
                raise EngineError(f"{self._reference}: cannot be reached: {reason}") from None

    def _authorize(self, challenge: str) -> None:
        basic = "Basic " + base64.b64encode(":".join(self._user).encode()).decode() if self._user else ""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            self._authorization = basic
            return
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = fields.pop("realm", "")
        if not realm.startswith(("http://", "https://")):
            raise EngineError(f"{self._reference}: the registry asks for authorization in an unknown way: {challenge}")
        fields["scope"] = (
            f"repository:{self._reference.repository}:pull,push" if self._user else fields.get("scope", "")
        )
        asked = urllib.request.Request(f"{realm}?{urlencode(fields)}")
        if basic:
            asked.add_unredirected_header("Authorization", basic)
        try:
            with urllib.request.urlopen(asked, timeout=_TIMEOUT) as answer:
                found = json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise EngineError(f"{self._reference}: no token of the registry: {error}") from None
        self._authorization = f"Bearer {found.get('token') or found.get('access_token') or ''}"

    def manifest(self, name: str) -> tuple[str, dict[str, Any]]:
        """``(digest, manifest or index)`` by tag or digest."""
        with self.request("GET", f"manifests/{name}", Accept=_MANIFESTS) as answer:
            data = answer.read()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if name.startswith("sha256:") and name != digest:
            raise EngineError(f"{self._reference}: the manifest does not have the digest {name}")
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise EngineError(f"{self._reference}: the registry's answer is no manifest")
        return digest, found

    def blob(self, digest: str) -> bytes:
        with self.request("GET", f"blobs/{digest}") as answer:
            data: bytes = answer.read()
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise EngineError(f"{self._reference}: blob {digest} does not have that digest")
        return data

    def has(self, digest: str) -> bool:
        try:
            self.request("HEAD", f"blobs/{digest}").close()
        except EngineError:
            return False
        return True

    def upload(self, digest: str, path: Path) -> None:
        if self.has(digest):
            return
        with self.request("POST", "blobs/uploads/", b"") as answer:
            place = urljoin(answer.url, answer.headers["Location"])
        size = str(path.stat().st_size)
        with path.open("rb") as data:
            url = f"{place}{'&' if '?' in place else '?'}{urlencode({'digest': digest})}"
            self.request("PUT", url, data, Content_Length=size, Content_Type="application/octet-stream").close()


def _speaks_no_tls(reason: object) -> bool:
    """Whether this is how the start of a TLS connection ends at a server of plain HTTP; a wrong certificate is not."""
    refused = isinstance(reason, ConnectionRefusedError | ssl.SSLCertVerificationError)
    return isinstance(reason, ssl.SSLError | ConnectionError | HTTPException) and not refused


def _configured(host: str) -> tuple[str, str] | None:
    """User and password of Docker's configuration file, where it holds them itself."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    names = (host, f"https://{host}", "https://index.docker.io/v1/" if host == "docker.io" else host)
    try:
        known = json.loads(Path(folder, "config.json").read_text())["auths"]
        coded = next(known[name]["auth"] for name in names if "auth" in known.get(name, {}))
        user, _, password = base64.b64decode(coded).decode().partition(":")
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None
    return user, password


def pull(solver: Solver, address: str, platform: str) -> Pulled:
    """An image for a platform.

    Raises:
        EngineError: it cannot be had, or a part of it does not have its digest.
    """
    reference = Reference.parse(address)
    registry = _Registry(solver, reference)
    digest, found = registry.manifest(reference.digest or reference.tag)
    top, manifest = digest, found
    for _ in range(4):
        if "manifests" not in manifest:
            break
        _, manifest = registry.manifest(chosen_manifest(manifest["manifests"], platform)["digest"])
    try:
        config = json.loads(registry.blob(manifest["config"]["digest"]))
        layers = [registry.blob(layer["digest"]) for layer in manifest["layers"]]
        root = EMPTY
        with solver.store.transaction():
            for layer in layers:
                root = apply_layer(solver.store, root, layer)
    except (KeyError, TypeError, ValueError) as error:
        raise EngineError(f"{reference} is not an image: {error}") from None
    return Pulled(str(replace(reference, digest=top)), config, root)


def push(
    solver: Solver, images: list[tuple[Container, Entry]], reference: Reference, docker: bool, compression: str
) -> str:
    """Images pushed under a reference; that reference with the digest that they have there.

    Raises:
        EngineError: the registry does not take them.
    """
    registry = _Registry(solver, reference)
    folder = solver.store.folder()
    try:
        built = build(solver, images, folder, docker, compression)
        manifests = {}
        todo = [built.top]
        while todo:
            descriptor = todo.pop()
            data = built.blobs[descriptor["digest"].removeprefix("sha256:")].read_bytes()
            manifests[descriptor["digest"]] = (descriptor["mediaType"], data)
            todo += json.loads(data).get("manifests", [])
        for digest, path in built.blobs.items():
            if f"sha256:{digest}" not in manifests:
                registry.upload(f"sha256:{digest}", path)
        for digest, (media_type, data) in reversed(manifests.items()):
            name = (reference.tag or digest) if digest == built.top["digest"] else digest
            registry.request("PUT", f"manifests/{name}", data, Content_Type=media_type).close()
    finally:
        remove_tree(folder)
    return str(replace(reference, digest=built.top["digest"]))
