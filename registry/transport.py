"""Requests to one registry: TLS, login, and trying again; nothing of what is asked or answered beyond that.

Login is distribution's token scheme (its ``auth/token`` and ``auth/oauth`` documents; RFC 6750, RFC 7617).
"""

from __future__ import annotations

import base64
import random
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from registry.credentials import ANONYMOUS, Credential, Credentials
from registry.errors import Denied, Interrupted, NotFound, RegistryError

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_RETRIED = (408, 425, 429, 500, 502, 503, 504)
_ERROR_BYTES = 16 << 10
_TOKEN_BYTES = 1 << 20
SLOWEST = 16 << 10
"""Bytes a second under which a transfer counts as stuck, after a first minute of grace."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long is tried: ``attempts`` in all, pauses from ``first`` doubling to ``longest`` seconds.

    A registry that asks for more than ``retry_after`` seconds is not waited for.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 20.0
    retry_after: float = 120.0
    timeout: float = 60.0
    grace: float = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How registries are reached: who we are, whom we trust, how patient we are."""

    credentials: Credentials = field(default_factory=Credentials)
    authorities: tuple[Path, ...] = ()
    plain_http: bool = False
    patience: Patience = Patience()


def tls(host: str, authorities: Iterable[Path]) -> ssl.SSLContext:
    """The machine's authorities (``SSL_CERT_FILE`` counts), those given, and those in Docker's ``certs.d/HOST``."""
    context = ssl.create_default_context()
    if not context.get_ca_certs():
        import certifi

        context.load_verify_locations(certifi.where())
    folders = [Path(each) / host for each in ("/etc/docker/certs.d", "/etc/containers/certs.d")]
    for path in [*authorities, *(file for folder in folders for file in sorted(folder.glob("*.crt")))]:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise RegistryError(f"{path} holds no certificates that can be used: {error}") from None
    return context


class Stuck(Exception):
    """A transfer that is slower than ``SLOWEST``, or ended early."""


class Transport:
    """The way to one registry. Thread-safe: several blobs travel at once."""

    def __init__(self, host: str, shown: str, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        if settings.plain_http and host.rsplit(":", 1)[0] not in _LOOPBACK:
            raise RegistryError(f"{shown}: plain HTTP is for registries on this machine only; leave --plain-http out")
        self.shown = shown
        self.base = f"{'http' if settings.plain_http else 'https'}://{host}"
        self.patience = settings.patience
        self._sleep = sleep
        self._credentials = settings.credentials
        self._credential: Credential | None = None
        self._tokens: dict[str, str] = {}
        self._basic = False
        self._lock = threading.Lock()
        context = tls(host, settings.authorities) if not settings.plain_http else True
        self._client = httpx.Client(verify=context, timeout=settings.patience.timeout, trust_env=True)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def request(
        self,
        method: str,
        url: str,
        scope: str,
        expect: Iterable[int],
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterator[bytes]] | bytes = b"",
        again: bool = True,
    ) -> Iterator[httpx.Response]:
        """One answer whose status is expected, its body still to be read (with ``read``).

        Tried again after a lost connection, 429 and 5xx (``again=False``: once); logs in when asked to.

        Raises:
            Denied: 401 or 403 in spite of our credentials.
            NotFound: 404.
            Interrupted: the connection was lost, or a status that may pass, at the last attempt too.
            RegistryError: another status.
        """
        wanted = set(expect)
        target = url if "://" in url else self.base + url
        attempts = self.patience.attempts if again else 1
        logged_in = 0
        attempt = 0
        while True:
            attempt += 1
            last = attempt >= attempts
            content = body if isinstance(body, bytes) else body()
            asked = self._client.build_request(
                method, target, headers={**(headers or {}), **self._authorization(target, scope)}, content=content
            )
            try:
                response = self._client.send(asked, stream=True, follow_redirects=method in ("GET", "HEAD"))
            except (httpx.TransportError, Stuck) as error:
                if _is_certificate(error):
                    raise RegistryError(f"{self.shown}: {_reason(error)}") from None
                if last:
                    raise self.interrupted(f"{method} {_path(target)}", error) from None
                self._sleep(self._pause(attempt))
                continue
            try:
                if response.status_code in wanted:
                    yield response
                    return
                if response.status_code == 401 and logged_in < 2 and self._log_in(response, scope, logged_in):
                    logged_in += 1
                    attempt -= 1
                    continue
                wait = self._wait(response, attempt)
                if response.status_code in _RETRIED and not last and wait <= self.patience.retry_after:
                    self._sleep(wait)
                    continue
                raise self._error(response, method, wait)
            finally:
                response.close()

    def read(self, response: httpx.Response, limit: int) -> bytes:
        """The body, of up to ``limit`` bytes; raises RegistryError for a longer one, Stuck for one that drips."""
        parts, size = [], 0
        for part in self.stream(response):
            size += len(part)
            if size > limit:
                raise RegistryError(
                    f"{self.shown}: an answer to {_path(str(response.url))} is longer than {limit} bytes"
                )
            parts.append(part)
        return b"".join(parts)

    def stream(self, response: httpx.Response) -> Iterator[bytes]:
        """The body as it comes; raises Stuck when it comes slower than ``SLOWEST``."""
        began, size = time.monotonic(), 0
        # In parts as they arrive: parts of a size asked for are gathered first, and who drips is never looked at.
        for part in response.iter_bytes():
            size += len(part)
            if time.monotonic() - began > self.patience.grace + size / SLOWEST:
                raise Stuck(f"{size} bytes in {time.monotonic() - began:.0f} s")
            yield part

    def _pause(self, attempt: int) -> float:
        return float(min(self.patience.longest, self.patience.first * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25))

    def wait(self, asked: float, attempt: int) -> None:
        """Wait before the next attempt at something that takes several requests; ``asked`` by the registry, or 0."""
        self._sleep(asked or self._pause(attempt))

    def _wait(self, response: httpx.Response, attempt: int) -> float:
        """Seconds until the next attempt: Retry-After (RFC 9110, section 10.2.3), else a growing pause."""
        given = response.headers.get("Retry-After", "").strip()
        if given.isdigit():
            return float(given)
        if given:
            try:
                return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
            except (ValueError, TypeError):
                pass
        return self._pause(attempt)

    def _who(self) -> Credential:
        with self._lock:
            if self._credential is None:
                self._credential = self._credentials.find(self.shown)
            return self._credential

    def _authorization(self, target: str, scope: str) -> dict[str, str]:
        """Our login, to the registry alone: an upload's place on another host gets none."""
        if urlsplit(target).netloc != urlsplit(self.base).netloc:
            return {}
        if self._basic:
            who = self._who()
            return {"Authorization": f"Basic {base64.b64encode(f'{who.username}:{who.password}'.encode()).decode()}"}
        token = self._tokens.get(scope) or self._who().bearer
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _log_in(self, response: httpx.Response, scope: str, already: int) -> bool:
        """Do what a 401 asks for; whether another attempt makes sense."""
        for challenge in response.headers.get_list("WWW-Authenticate"):
            kind, _, rest = challenge.partition(" ")
            if kind.lower() == "bearer":
                with self._lock:
                    self._tokens.pop(scope, None)
                self._tokens[scope] = self._token(dict(_parameters(rest)), scope)
                return True
            if kind.lower() == "basic" and not already and self._who().password:
                self._basic = True
                return True
        return False

    def _token(self, challenge: Mapping[str, str], scope: str) -> str:
        realm, who = challenge.get("realm", ""), self._who()
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (
            self.base.startswith("http:") and parts.hostname in ("localhost", "127.0.0.1")
        ):
            raise RegistryError(f"{self.shown} sends us to {realm!r} for a token; credentials are sent by https only")
        ask = {"service": challenge.get("service", ""), "scope": scope}
        auth = httpx.BasicAuth(who.username, who.password) if who.password else None
        for attempt in range(1, self.patience.attempts + 1):
            try:
                if who.identity_token:
                    form = {
                        "grant_type": "refresh_token",
                        "refresh_token": who.identity_token,
                        "client_id": "pipelines",
                    }
                    answer = self._client.post(realm, data={**ask, **form})
                else:
                    params = httpx.QueryParams({"service": ask["service"], "scope": scope.split()})
                    answer = self._client.get(realm, params=params, auth=auth)
            except httpx.TransportError as error:
                reason = f"token from {parts.hostname}: {_reason(error)}"
                if attempt == self.patience.attempts or _is_certificate(error):
                    raise RegistryError(f"{self.shown}: {reason}") from None
                self.wait(0.0, attempt)
                continue
            if answer.status_code in _RETRIED and attempt < self.patience.attempts:
                self._sleep(min(self._wait(answer, attempt), self.patience.retry_after))
                continue
            break
        if answer.status_code in (400, 401, 403):
            raise Denied(f"{self.shown}: {parts.hostname} gives no token for {scope}: {self._remedy()}")
        try:
            value = answer.json() if len(answer.content) < _TOKEN_BYTES else {}
            token = value.get("token") or value["access_token"]
        except (ValueError, KeyError, AttributeError):
            raise RegistryError(
                f"{self.shown}: {parts.hostname} answered {answer.status_code} without a token"
            ) from None
        return str(token)

    def _remedy(self) -> str:
        if self._who() == ANONYMOUS:
            return "there are no credentials; log in (docker login, or --credentials HOST=env:NAME)"
        return "the credentials are refused"

    def interrupted(self, what: str, error: Exception) -> Interrupted:
        """The error of a connection that was lost."""
        return Interrupted(f"{self.shown}: {what}: {_reason(error)}")

    def _error(self, response: httpx.Response, method: str, wait: float) -> RegistryError:
        where, status = f"{self.shown}: {method} {_path(str(response.request.url))}", response.status_code
        said = self._said(response)
        if status in (401, 403):
            return Denied(f"{where} is denied ({status}): {said or self._remedy()}")
        if status == 404:
            return NotFound(f"{where}: not found{f' ({said})' if said else ''}")
        text = f"{where} answered {status}: {said or 'no reason given'}"
        if status in _RETRIED:
            if wait > self.patience.retry_after:
                text += f"; it asks to wait for {wait:.0f} s, which is not done: run the same again later"
                return RegistryError(text)
            return Interrupted(text, wait)
        return RegistryError(text)

    def _said(self, response: httpx.Response) -> str:
        """What the registry says is wrong (distribution-spec, "Error Codes"), without any secret of ours in it."""
        try:
            value = httpx.Response(200, content=self.read(response, _ERROR_BYTES)).json()
            text = "; ".join(f"{each.get('code', '')} {each.get('message', '')}".strip() for each in value["errors"])
        except (ValueError, KeyError, TypeError, AttributeError, RegistryError, Stuck, httpx.TransportError):
            return ""
        for secret in (*self._who().secrets, *self._tokens.values()):
            text = text.replace(secret, "***")
        return "".join(each for each in text if each.isprintable())[:300]


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """``key="value"`` pairs of a challenge (RFC 9110, section 11.2)."""
    from urllib.request import parse_http_list

    for pair in parse_http_list(text):
        key, equals, value = pair.partition("=")
        if equals:
            yield key.strip().lower(), value.strip().strip('"')


def _path(url: str) -> str:
    """A URL's path alone: queries of uploads carry state that nobody needs to see."""
    return urlsplit(url).path


def _is_certificate(error: BaseException) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _reason(error: BaseException) -> str:
    if _is_certificate(error):
        return "its certificate is not trusted here; --ca names a file with its authority's certificate"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error) or type(error).__name__
