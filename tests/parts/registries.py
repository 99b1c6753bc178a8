"""Two real registries on loopback with TLS and passwords: one without the referrers API, one with it.

Without: Debian's ``docker-registry`` (distribution 2.8). With: the Go module ``ociregistry``, which keeps all in memory.
A proxy stands before each, to make trouble when a test wants it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.credentials import Credentials
from registry.transport import Patience, Settings
from tests.parts.certificates import Certificates
from tests.parts.go import programs
from tests.parts.proxy import Proxy
from tests.parts.tokens import ISSUER, SERVICE, Tokens
from tests.parts.toolbox import program

USER = "publisher"
PASSWORD = "k9-swordfish-Vq7"
"""The password of both; what is searched for in all that a release leaves behind."""
_BCRYPT = "$2y$04$fYOyCndINanLv.zk3rr0Eupbfp.H5tqcme0wsNpHrtMydAPvyElmu"


@dataclass(frozen=True)
class Registry:
    """A registry that runs: ``host``, the proxy in front of it, and the folder of its files if it has one."""

    host: str
    proxy: Proxy
    storage: Path
    has_referrers: bool


QUICK = Patience(attempts=4, first=0.1, longest=1.0, timeout=20)


def settings(registry: Registry, certificates: Certificates, password: str = PASSWORD) -> Settings:
    """How our own client reaches a registry."""
    login = Credentials((f"{registry.host}=env:LOGIN",), {"LOGIN": f"{USER}:{password}"})
    return Settings(login, (certificates.authority,), False, QUICK)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(words: list[str], url: str, log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """A server, from when it answers until the context ends."""
    with log.open("wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, env={**os.environ, **(environment or {})})
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise AssertionError(f"{words[0]} ended:\n{log.read_text()[-2000:]}")
            try:
                urllib.request.urlopen(url, timeout=5, context=_anyone()).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError(f"{words[0]} does not answer at {url}:\n{log.read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _anyone() -> object:
    import ssl

    return ssl._create_unverified_context()


@contextmanager
def without_referrers(
    folder: Path, certificates: Certificates, around: list[str] | None = None, tokens: Tokens | None = None
) -> Iterator[Registry]:
    """Debian's docker-registry; ``around`` are words before its own, of a sandbox; ``tokens`` let in, or a password."""
    folder.mkdir(parents=True, exist_ok=True)
    storage, port = folder / "storage", free_port()
    storage.mkdir(exist_ok=True)
    (folder / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
    proxy = Proxy(f"https://127.0.0.1:{port}", certificates)
    proxy.tokens = tokens
    auth: dict[str, dict[str, str]] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tokens:
        realm = f"https://{proxy.host}/token"
        roots = str(certificates.authority)
        auth = {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": roots}}
    (folder / "config.yml").write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
                "http": {
                    "addr": f"127.0.0.1:{port}",
                    "secret": "of the tests",
                    "tls": {"certificate": str(certificates.certificate), "key": str(certificates.key)},
                },
                "auth": auth,
            }
        )
    )
    words = [*(around or []), *program("docker-registry"), "serve", str(folder / "config.yml")]
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    try:
        with running(words, f"https://127.0.0.1:{port}/v2/", folder / "registry.log", environment):
            yield Registry(proxy.host, proxy, storage, False)
    finally:
        proxy.close()


@contextmanager
def with_referrers(folder: Path, certificates: Certificates) -> Iterator[Registry]:
    """The registry of the Go module ``cuelabs.dev/go/oci/ociregistry``, all of it in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    words = [
        str(programs("registry", ".") / "registry"),
        f"127.0.0.1:{port}",
        str(certificates.certificate),
        str(certificates.key),
    ]
    environment = {"LOGIN": f"{USER}:{PASSWORD}"}
    with running(words, f"https://127.0.0.1:{port}/v2/", folder / "registry.log", environment):
        proxy = Proxy(f"https://127.0.0.1:{port}", certificates)
        try:
            yield Registry(proxy.host, proxy, folder, True)
        finally:
            proxy.close()
