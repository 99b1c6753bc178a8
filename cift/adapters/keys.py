"""API keys at rest: ``keys.json`` holds nothing that signs a request.

A key's secret is derived from the venue's master key and the key's id (HKDF-Expand with HMAC-SHA256, RFC 5869 section 2.3),
so nothing secret has to be stored for each key: the file has id, account, scopes and SHA-256 of the secret, by which a
wrong master key is noticed. Who steals the file alone can sign nothing. The master key is given by the environment, or
lies in ``master.key`` (mode 600) beside the file on a developer's machine.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any

from cift.errors import Misconfigured
from cift.ports.access import SCOPES, ApiKey
from cift.settings import Settings

FIRST_ACCOUNT = 1001
"""Numbers below are the demo's."""


class KeysError(Misconfigured):
    """The file of keys or the master key cannot be used; the message says what to do."""


def derive(master: str, key_id: str) -> bytes:
    """The secret of a key: 64 hexadecimal digits."""
    block = hmac.new(sha256(master.encode()).digest(), b"cift api key\0" + key_id.encode() + b"\x01", sha256)
    return block.hexdigest().encode()


class KeyFile:
    """Implements the `Keys` port on a file; it is read again when it changes."""

    def __init__(self, settings: Settings) -> None:
        self._path, self._settings = settings.keys, settings
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, ApiKey] = {}
        self._closed = False

    def find(self, key_id: str) -> ApiKey | None:
        return self._read().get(key_id)

    def any(self) -> bool:
        self._read()
        return self._closed

    def _read(self) -> dict[str, ApiKey]:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return self._keys
        except OSError as error:
            raise KeysError(f"the API keys cannot be read: {error.strerror}") from None
        self._closed = True
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._keys, self._stamp = self._parse(), stamp
        return self._keys

    def _parse(self) -> dict[str, ApiKey]:
        accounts, rows = _load(self._path)
        if not rows:
            return {}
        master = master_key(self._settings, create=False)
        found = {}
        for key_id, row in rows.items():
            secret = derive(master, key_id)
            if not hmac.compare_digest(sha256(secret).hexdigest(), row["secret_sha256"]):
                raise KeysError(f"{self._path}: key {key_id} was issued under another master key (CIFT_MASTER_KEY)")
            name = row["account"]
            found[key_id] = ApiKey(key_id, accounts[name], name, frozenset(row["scopes"]), secret)
        return found


def master_key(settings: Settings, create: bool) -> str:
    """The master key: from the environment, else from its file, which is made if ``create``.

    Raises:
        KeysError: there is none.
    """
    if settings.master_key:
        return settings.master_key
    path = settings.data / "master.key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if not create:
            raise KeysError(f"there are API keys, but neither CIFT_MASTER_KEY nor {path}") from None
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = secrets.token_hex(32)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    return text


def create(settings: Settings, account: str, scopes: tuple[str, ...]) -> tuple[str, str]:
    """Issue a key for an account, which is made if it is new; its id, and the secret, which is shown this once.

    Raises:
        KeysError: no such scope, or the file cannot be used.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise KeysError(f"scope {scope!r} is none of {', '.join(SCOPES)}")
    accounts, rows = _load(settings.keys)
    key_id = "ck_" + secrets.token_hex(8)
    secret = derive(master_key(settings, create=True), key_id)
    accounts.setdefault(account, max([FIRST_ACCOUNT - 1, *accounts.values()]) + 1)
    rows[key_id] = {"account": account, "scopes": list(scopes), "secret_sha256": sha256(secret).hexdigest()}
    _store(settings.keys, accounts, rows)
    return key_id, secret.decode()


def revoke(settings: Settings, key_id: str) -> None:
    """Take a key back; it signs nothing from now on. Its account keeps its number, which no other ever gets.

    Raises:
        KeysError: there is no such key.
    """
    accounts, rows = _load(settings.keys)
    if rows.pop(key_id, None) is None:
        raise KeysError(f"there is no key {key_id}; `cift keys list` shows them")
    _store(settings.keys, accounts, rows)


def listed(settings: Settings) -> dict[str, dict[str, Any]]:
    """What the file says of each key."""
    return _load(settings.keys)[1]


def _load(path: Path) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """Numbers of accounts by name, and keys by id."""
    try:
        data = json.loads(path.read_text())
        accounts, rows = dict(data["accounts"]), dict(data["keys"])
        for row in rows.values():
            accounts[row["account"]], row["scopes"], row["secret_sha256"]
    except FileNotFoundError:
        return {}, {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeysError(f"{path}: is no file of keys ({error!r}); `cift keys create` writes one") from None
    return accounts, rows


def _store(path: Path, accounts: dict[str, int], rows: dict[str, dict[str, Any]]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"accounts": accounts, "keys": rows}, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
