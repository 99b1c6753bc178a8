"""Who we are to a registry: named secrets, Docker's and Podman's configuration, credential helpers."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry.errors import RegistryError

_HELPER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Credential:
    """A name with a password, or an identity token (OAuth 2 refresh token), or a ready bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be printed."""
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode() if self.password else ""
        return tuple(each for each in (self.password, self.identity_token, self.bearer, basic) if each)


ANONYMOUS = Credential()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where credentials come from, the first that knows the registry counts.

    ``given`` holds ``HOST=env:NAME`` and ``HOST=file:PATH``, whose content is ``user:password``; then Docker's
    configuration (``$DOCKER_CONFIG``, ``~/.docker``), then Podman's (``$REGISTRY_AUTH_FILE``, ``containers/auth.json``).
    """

    given: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def find(self, host: str) -> Credential:
        """The credential for a registry, or ``ANONYMOUS``.

        Raises:
            RegistryError: a source is there and cannot be used.
        """
        for each in self.given:
            name, _, where = each.partition("=")
            if name == host:
                return _secret(host, where, self.environment)
        for path in self._files():
            if found := _from_file(path, host, self.environment):
                return found
        return ANONYMOUS

    def _files(self) -> Sequence[Path]:
        home = Path(self.environment.get("HOME", "/nonexistent"))
        docker = Path(self.environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
        if named := self.environment.get("REGISTRY_AUTH_FILE"):
            return [docker, Path(named)]
        runtime = self.environment.get("XDG_RUNTIME_DIR")
        config = Path(self.environment.get("XDG_CONFIG_HOME") or home / ".config")
        return [docker, *([Path(runtime) / "containers/auth.json"] if runtime else []), config / "containers/auth.json"]


def _secret(host: str, where: str, environment: Mapping[str, str]) -> Credential:
    kind, _, name = where.partition(":")
    try:
        text = {"env": lambda: environment[name], "file": lambda: Path(name).read_text()}[kind]().strip()
    except KeyError:
        raise RegistryError(
            f"credentials of {host}: {where!r} is neither env:NAME of a variable that is set nor file:PATH"
        ) from None
    except OSError as error:
        raise RegistryError(f"credentials of {host}: {name}: {error.strerror}") from None
    username, colon, password = text.partition(":")
    if not colon or not username or not password:
        raise RegistryError(f"credentials of {host}: {where} does not hold user:password")
    return Credential(username, password)


def _keys(host: str) -> list[str]:
    """The names under which a registry stands in Docker's configuration."""
    if host == "docker.io":
        return ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
    return [host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/"]


def _from_file(path: Path, host: str, environment: Mapping[str, str]) -> Credential | None:
    try:
        value = json.loads(path.read_bytes())
    except OSError:
        return None
    except ValueError as error:
        raise RegistryError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RegistryError(f"{path} is no configuration of credentials")
    helpers, auths = value.get("credHelpers") or {}, value.get("auths") or {}
    for key in _keys(host):
        if key in helpers:
            return _helper(str(helpers[key]), key, environment)
    for key in _keys(host):
        if key in auths and (found := _entry(auths[key], f"{path}: {key}")):
            return found
    if store := value.get("credsStore"):
        for key in _keys(host)[:2]:
            if found := _helper(str(store), key, environment):
                return found
    return None


def _entry(entry: Any, where: str) -> Credential | None:
    if not isinstance(entry, dict) or not entry:
        return None
    if entry.get("registrytoken"):
        return Credential(bearer=str(entry["registrytoken"]))
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryError(f"{where}: auth is not base64 of user:password") from None
    if entry.get("identitytoken"):
        return Credential(username, identity_token=str(entry["identitytoken"]))
    return Credential(username, password.rstrip("\0")) if username and password else None


def _helper(name: str, key: str, environment: Mapping[str, str]) -> Credential | None:
    """Ask a helper (``docker-credential-NAME get``): the registry goes to its standard input, the answer is JSON."""
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            env=dict(environment),
            check=False,
        )
    except FileNotFoundError:
        raise RegistryError(f"{program}, which the Docker configuration names for {key}, is not on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"{program} gave no answer for {key}: {type(error).__name__}") from None
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        if "not found" in said.lower():
            return None
        raise RegistryError(f"{program} get failed for {key} (exit code {done.returncode})")
    try:
        value = json.loads(done.stdout)
        username, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError):
        raise RegistryError(f"{program} get gave no JSON with Username and Secret for {key}") from None
    if username == "<token>":
        return Credential(identity_token=secret)
    return Credential(username, secret)
