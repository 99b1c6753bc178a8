"""What the environment says (12-factor), parsed once. The names stand beside the fields; `cift serve --print` shows them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

JOURNALS = ("durable", "buffered", "off")
_IN_FILES = ("DATABASE_URL", "CIFT_MASTER_KEY")
_SOCKET_PATH = 107
"""sun_path of unix(7), less its closing zero."""


class SettingsError(ValueError):
    """A variable of the environment that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Settings:
    """One process's configuration. Rates are requests per second and key, amounts are in quote currency."""

    data: Path = Path("/tmp/cift")
    """CIFT_DATA: journal, snapshots, keys and the SQLite read model."""
    runtime: Path = Path("/tmp/cift/run")
    """CIFT_RUNTIME_DIR: sockets and locks (default: CIFT_DATA/run)."""
    database: str = "sqlite:////tmp/cift/read-model.sqlite"
    """DATABASE_URL: sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME (default: SQLite in CIFT_DATA).
    DATABASE_URL_FILE names a file that holds it."""
    journal: str = "durable"
    """CIFT_JOURNAL: durable (fsync before acknowledgement), buffered (no fsync), off (nothing outlives the matcher)."""
    segment_bytes: int = 16 << 20
    """CIFT_SEGMENT_BYTES: a journal segment is closed at this size."""
    snapshot_every: int = 50_000
    """CIFT_SNAPSHOT_EVERY: commands between snapshots."""
    keys: Path = Path("/tmp/cift/keys.json")
    """CIFT_KEYS: API keys, written by `cift keys` (default: keys.json in CIFT_DATA); without any, the demo account is open."""
    master_key: str = ""
    """CIFT_MASTER_KEY: what API secrets are derived from, at least 32 characters (default: master.key in CIFT_DATA).
    CIFT_MASTER_KEY_FILE names a file that holds it."""
    rate: float = 500.0
    """CIFT_RATE: requests per second and key that are allowed in the long run; 0 for no limit."""
    burst: float = 1000.0
    """CIFT_BURST: requests that a key may save up."""
    clock_skew: float = 30.0
    """CIFT_CLOCK_SKEW: seconds that a signed request's time may be off."""
    max_notional: int = 10_000_000
    """CIFT_MAX_NOTIONAL: price times quantity of one order."""
    max_position: int = 100_000_000
    """CIFT_MAX_POSITION: worst-case position of an account in one symbol, valued at the order's price."""
    collar: float = 0.5
    """CIFT_COLLAR: how far a price may be on the aggressive side of the last trade, as a fraction; 0 for no limit."""
    max_body: int = 1 << 20
    """CIFT_MAX_BODY: bytes of a request's body."""
    forecast: str = "auto"
    """CIFT_FORECAST: auto (where torch and safetensors are installed), off."""
    drain: float = 0.5
    """CIFT_DRAIN: seconds that a worker which was told to end goes on answering, while it asks its clients to leave."""
    log_level: str = "info"
    """CIFT_LOG_LEVEL: debug, info, warning or error."""

    @classmethod
    def of_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """The settings of the environment.

        Raises:
            SettingsError: a value cannot be used.
        """
        env = _with_files(os.environ if environ is None else environ)
        data = Path(env.get("CIFT_DATA") or cls.data).absolute()
        runtime = Path(env.get("CIFT_RUNTIME_DIR") or data / "run").absolute()
        if len(str(runtime / "matcher.sock").encode()) > _SOCKET_PATH:
            raise SettingsError(f"CIFT_RUNTIME_DIR: {runtime} is too long for a Unix socket; choose a shorter folder")
        master = env.get("CIFT_MASTER_KEY", "")
        if master and len(master) < 32:
            raise SettingsError("CIFT_MASTER_KEY: has fewer than 32 characters; generate one: openssl rand -hex 32")
        return cls(
            data=data,
            runtime=runtime,
            database=_database(env.get("DATABASE_URL") or f"sqlite:///{data / 'read-model.sqlite'}"),
            journal=_choice(env, "CIFT_JOURNAL", cls.journal, JOURNALS),
            segment_bytes=int(_number(env, "CIFT_SEGMENT_BYTES", cls.segment_bytes, least=1 << 12)),
            snapshot_every=int(_number(env, "CIFT_SNAPSHOT_EVERY", cls.snapshot_every, least=1)),
            keys=Path(env.get("CIFT_KEYS") or data / "keys.json").absolute(),
            master_key=master,
            rate=_number(env, "CIFT_RATE", cls.rate),
            burst=_number(env, "CIFT_BURST", cls.burst, least=1),
            clock_skew=_number(env, "CIFT_CLOCK_SKEW", cls.clock_skew, least=0.1),
            max_notional=int(_number(env, "CIFT_MAX_NOTIONAL", cls.max_notional, least=1)),
            max_position=int(_number(env, "CIFT_MAX_POSITION", cls.max_position, least=1)),
            collar=_number(env, "CIFT_COLLAR", cls.collar),
            max_body=int(_number(env, "CIFT_MAX_BODY", cls.max_body, least=1024)),
            forecast=_choice(env, "CIFT_FORECAST", cls.forecast, ("auto", "off")),
            drain=_number(env, "CIFT_DRAIN", cls.drain),
            log_level=_choice(env, "CIFT_LOG_LEVEL", cls.log_level, ("debug", "info", "warning", "error")),
        )

    def redacted(self) -> dict[str, str]:
        """Each field as text, with secrets and the database's password replaced by `***`."""
        shown = {field.name: str(getattr(self, field.name)) for field in fields(self)}
        shown["master_key"] = "***" if self.master_key else ""
        shown["database"] = redacted_url(self.database)
        return shown


def redacted_url(url: str) -> str:
    """The address with its password and query (where some drivers take a password too) replaced by `***`."""
    parts = urlsplit(url)
    netloc = parts.netloc
    if "@" in netloc:
        user, _, host = netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}:***@{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))


def _database(url: str) -> str:
    scheme = url.partition(":")[0]
    if scheme == "sqlite" and url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return url
    if scheme in ("postgresql", "postgres") and urlsplit(url).hostname:
        return url
    raise SettingsError("DATABASE_URL: is neither sqlite:///PATH nor postgresql://USER:PASSWORD@HOST:PORT/NAME")


def _with_files(env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment, with each secret that it names a file of: what Docker, Podman and Kubernetes mount."""
    found = dict(env)
    for name in _IN_FILES:
        path = env.get(f"{name}_FILE", "")
        if not path:
            continue
        if env.get(name):
            raise SettingsError(f"{name} and {name}_FILE are both set; keep one of them")
        try:
            found[name] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is no text"
            raise SettingsError(f"{name}_FILE: {path}: {reason}; mount the secret there") from None
        if not found[name]:
            raise SettingsError(f"{name}_FILE: {path} is empty")
    return found


def _choice(env: Mapping[str, str], name: str, default: str, choices: tuple[str, ...]) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise SettingsError(f"{name}: {value[:40]!r} is none of {', '.join(choices)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, least: float = 0.0) -> float:
    text = env.get(name) or str(default)
    if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII) or float(text) < least:
        raise SettingsError(f"{name}: {text[:40]!r} is no plain number of at least {least:g}")
    return float(text)
