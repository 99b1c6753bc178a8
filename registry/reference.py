"""References to images in registries, parsed once (distribution-spec v1.1, "Pulling manifests")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from images.digest import Digest
from images.errors import ImageError
from registry.errors import RegistryError

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository of a registry; ``host`` with its port, as a person writes it."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def api_host(self) -> str:
        """The host that serves the API: Docker Hub's is not the one in its names."""
        return "registry-1.docker.io" if self.host == "docker.io" else self.host


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a repository, by tag, by digest, or by both (then the digest counts)."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        text = str(self.repository)
        if self.tag:
            text += f":{self.tag}"
        return f"{text}@{self.digest}" if self.digest else text

    @property
    def name(self) -> str | None:
        """What is asked of the registry: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag


def parse(text: str) -> Reference:
    """A reference as ``HOST[:PORT]/PATH[:TAG][@DIGEST]``.

    The registry has to be named: ``cift/api`` alone could be a folder, or an image of Docker Hub.

    Raises:
        RegistryError: the text is no such reference.
    """
    rest, at, digest_text = text.partition("@")
    host, slash, name = rest.partition("/")
    if not slash or not (("." in host) or (":" in host) or host == "localhost"):
        raise RegistryError(
            f"{text!r} names no registry; write it as HOST/PATH:TAG, such as docker.io/library/python:3"
        )
    if not _HOST.fullmatch(host):
        raise RegistryError(f"{text!r}: {host!r} is no host of a registry")
    path, colon, tag = name.partition(":")
    if host in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        host = "docker.io"
        path = path if "/" in path else f"library/{path}"
    if not _PATH.fullmatch(path) or len(host) + 1 + len(path) > _MAX_NAME:
        raise RegistryError(f"{text!r}: {path!r} is no repository: lower-case words joined by / . _ or -")
    if colon and not _TAG.fullmatch(tag):
        raise RegistryError(f"{text!r}: {tag!r} is no tag: up to 128 letters, digits, and _ . - after the first")
    try:
        digest = Digest.parse(digest_text) if at else None
    except ImageError as error:
        raise RegistryError(f"{text!r}: {error}") from None
    return Reference(Repository(host, path), tag or None, digest)


def repository(text: str) -> Repository:
    """A repository alone; raises RegistryError where a tag or digest is given too."""
    found = parse(text)
    if found.name:
        raise RegistryError(f"{text!r} names a tag or digest; here only the repository is wanted: {found.repository}")
    return found.repository


def tag(text: str) -> str:
    """A tag; raises RegistryError for what is none."""
    if not _TAG.fullmatch(text):
        raise RegistryError(f"{text!r} is no tag: up to 128 letters, digits, and _ . - after the first")
    return text
