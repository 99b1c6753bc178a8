"""Secrets: where their values come from, what stands for them in keys, and how they are kept out of logs."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from engine.errors import EngineError
from engine.graph import Secret
from engine.signals import unblock
from engine.store import Store

_LONGEST = 500 * 1024


class Secrets:
    """The secrets of one session. Values stay in memory; keys hold at most a keyed hash of one."""

    def __init__(self, store: Store) -> None:
        self._values: dict[str, bytes] = {}
        path = store.root / "salt"
        if not path.exists():
            staged = store.tmp / "salt"
            staged.write_bytes(os.urandom(32))
            staged.rename(path)
        self._salt = path.read_bytes()

    def add(self, name: str, plaintext: str) -> Secret:
        self._values[name] = plaintext.encode()
        return Secret(name, "", "")

    def value(self, secret: Secret) -> bytes:
        """The plaintext.

        Raises:
            EngineError: its source is not there.
        """
        if not secret.uri:
            return self._values[secret.name]
        if secret.uri not in self._values:
            self._values[secret.uri] = self._fetch(secret.uri)
        return self._values[secret.uri]

    def _fetch(self, uri: str) -> bytes:
        scheme, found, rest = uri.partition("://")
        if not found:
            raise EngineError(f"secret {uri!r}: a reference such as env://NAME, file://PATH or cmd://COMMAND is needed")
        if scheme == "env":
            if rest not in os.environ:
                raise EngineError(f"secret env var not found: {rest!r}")
            return os.environ[rest].encode()
        if scheme == "file":
            try:
                value = Path(os.path.expanduser(rest)).read_bytes()
            except OSError as error:
                raise EngineError(f"secret file {rest}: {error.strerror}") from None
        elif scheme == "cmd":
            done = subprocess.run(["sh", "-c", rest], capture_output=True, check=False, preexec_fn=unblock)
            if done.returncode:
                raise EngineError(f"secret command {rest!r} failed with exit code {done.returncode}")
            value = done.stdout
        else:
            raise EngineError(
                f"secret provider {scheme!r} is not supported by the embedded engine (env, file, cmd are)"
            )
        if len(value) > _LONGEST:
            raise EngineError(f"secret {scheme}://… is larger than {_LONGEST} bytes")
        return value

    def key(self, secret: Secret) -> str:
        """What stands for the secret in the key of a step."""
        if secret.cache_key:
            return "given " + secret.cache_key
        return "keyed " + hmac.new(self._salt, self.value(secret), hashlib.sha256).hexdigest()


class Scrubber:
    """Puts ``***`` for the values of secrets in a stream, wherever its chunks are cut."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._values = sorted(
            {v for value in values if value.strip() for v in (value, value.strip())}, key=len, reverse=True
        )
        self._kept = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can be shown by now: the rest might be the beginning of a value."""
        text = self._hide(self._kept + chunk)
        cut = min((self._beginning(text, value) for value in self._values), default=len(text))
        self._kept = text[cut:]
        return text[:cut]

    def end(self) -> bytes:
        """What is left; the stream is over."""
        rest, self._kept = self._kept, b""
        return rest

    def whole(self, text: bytes) -> bytes:
        """A text that is not part of the stream."""
        return self._hide(text)

    def _hide(self, text: bytes) -> bytes:
        for value in self._values:
            text = text.replace(value, b"***")
        return text

    @staticmethod
    def _beginning(text: bytes, value: bytes) -> int:
        """Where a beginning of the value stands at the text's end; the text's length where none does."""
        at = text.find(value[:1], max(0, len(text) - len(value) + 1))
        while at >= 0:
            if value.startswith(text[at:]):
                return at
            at = text.find(value[:1], at + 1)
        return len(text)
