"""The machine's way to its package indexes, given to steps that download: in no image, in no key, in no log.

It travels as secrets: variables of pip, cargo and proxies, configuration files, and the machine's certificate bundle.
Their keys are fixed names, so that a build behind a company's mirror has the same keys as one without.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagger
from dagger import dag

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_LOCAL = (
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "PIP_CACHE_DIR",
    "PIP_LOG",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_HTTP_CAINFO",
)
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
FOLDER = "/run/network"
#: Requests that share one connection hang together, and are tried again on that same one: crates come over connections of their own.
_PATIENCE = {"CARGO_HTTP_MULTIPLEXING": "false", "CARGO_NET_RETRY": "5", "PIP_RESUME_RETRIES": "5"}


@dataclass(frozen=True, slots=True)
class Network:
    """Files of the host that hold it; ``login`` is what opens a registry that a scanner's database is in."""

    variables: Path
    bundle: Path
    login: Path

    def given(self, box: dagger.Container) -> dagger.Container:
        """The container with it; a step's script reads it with :data:`ENTER`."""
        variables = dag.secret(f"file://{self.variables}", cache_key="network-variables")
        bundle = dag.secret(f"file://{self.bundle}", cache_key="network-bundle")
        return box.with_mounted_secret(f"{FOLDER}/variables", variables, mode=0o444).with_mounted_secret(
            f"{FOLDER}/bundle", bundle, mode=0o444
        )

    def registries(self, box: dagger.Container) -> dagger.Container:
        """The container with what opens registries, for a step that downloads from one and does nothing else."""
        login = dag.secret(f"file://{self.login}", cache_key="network-login")
        return box.with_mounted_secret("/root/.docker/config.json", login, mode=0o400)


ENTER = f". {FOLDER}/variables"


def variables(environ: Mapping[str, str]) -> str:
    """A shell fragment that exports what is to be known in a step."""
    lines = [f"export {name}={value}" for name, value in _PATIENCE.items()]
    for name, value in sorted(environ.items()):
        upper = name.upper()
        if upper in _NAMES or (name.startswith(("PIP_", "CARGO_")) and name not in _LOCAL):
            lines.append(f"export {name}={shlex.quote(value)}")
    bundle = f"{FOLDER}/bundle"
    for name in (*_BUNDLES, "CARGO_HTTP_CAINFO"):
        lines.append(f"export {name}={bundle}")
    for path, target in _configurations(environ):
        lines.append(f"mkdir -p {shlex.quote(str(Path(target).parent))}")
        lines.append(f"printf %s {shlex.quote(path.read_text())} > {shlex.quote(target)}")
    return "\n".join(lines) + "\n"


def _configurations(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    home = Path(environ.get("HOME", "/nonexistent"))
    choices = (
        (("/etc/pip.conf", home / ".config/pip/pip.conf", home / ".pip/pip.conf"), "/tmp/network/pip.conf"),
        ((home / ".cargo/config.toml",), "/tmp/network/cargo.toml"),
    )
    for candidates, target in choices:
        for candidate in (Path(c) for c in candidates):
            if candidate.is_file() and os.access(candidate, os.R_OK):
                yield candidate, target
                break


@contextmanager
def of_this_machine(environ: Mapping[str, str] = os.environ) -> Iterator[Network]:
    """The machine's network settings in files that only this user can read, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="network-") as folder:
        settings, bundle, login = (Path(folder, name) for name in ("variables", "bundle", "login"))
        settings.touch(mode=0o600)
        text = variables(environ)
        if "/tmp/network/pip.conf" in text:
            text += "export PIP_CONFIG_FILE=/tmp/network/pip.conf\n"
        settings.write_text(text)
        found = next((p for p in (*map(environ.get, _BUNDLES), _SYSTEM_BUNDLE) if p and Path(p).is_file()), None)
        bundle.touch(mode=0o600)
        bundle.write_bytes(Path(found).read_bytes() if found else b"")
        login.touch(mode=0o600)
        docker = Path(
            environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/nonexistent"), ".docker"), "config.json"
        )
        login.write_bytes(docker.read_bytes() if docker.is_file() and os.access(docker, os.R_OK) else b"{}")
        yield Network(settings, bundle, login)
