"""Files over HTTP, checked against their checksum before anything can use them."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
import urllib.error
import urllib.request

from engine.errors import EngineError
from engine.store import Store
from engine.tree import BEGINNING, Entry, file_entry


class Unreachable(EngineError):
    """The network failed; another try may go through."""


#: Downloads at a time; more only make resolvers and mirrors refuse.
_AT_ONCE = threading.BoundedSemaphore(8)
_TRIES = 4
#: Errors of the store's disk, not of the network.
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT)


def http(store: Store, url: str, checksum: str, mode: int) -> Entry:
    """Fetch a file, trying again where the network failed.

    Raises:
        EngineError: not found, no network, or other bytes than the checksum says.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            with _AT_ONCE:
                return _attempt(store, url, checksum, mode)
        except Unreachable:
            if attempt == _TRIES:
                raise
            time.sleep(0.4 * 2**attempt)
    raise AssertionError


def _attempt(store: Store, url: str, checksum: str, mode: int) -> Entry:
    """One try to fetch a file. With a checksum (``sha256:…``) that the store knows already, nothing is fetched.

    Raises:
        EngineError: not found, no network, or other bytes than the checksum says.
    """
    wanted = checksum.removeprefix("sha256:")
    if checksum and (known := store.recall("http " + wanted)):
        entry = file_entry(wanted, known["size"], mode, mtime=BEGINNING * 10**9)
        if store.intact(entry) or store.other_copy(entry):
            store.ensure(entry)
            return entry
    digest, size = hashlib.sha256(), 0
    staged = store.staged()
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, staged.open("wb") as file:
            while chunk := answer.read(1 << 18):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            expected = answer.headers.get("Content-Length")
            if expected is not None and int(expected) != size:
                raise EngineError(f"{url}: the connection ended after {size} of {expected} bytes; try again")
        if checksum and digest.hexdigest() != wanted:
            raise EngineError(f"{url}: checksum mismatch: expected sha256:{wanted}, got sha256:{digest.hexdigest()}")
        entry = file_entry(digest.hexdigest(), size, mode, mtime=BEGINNING * 10**9)
        store.adopt(staged, entry)
    except urllib.error.HTTPError as error:
        raise EngineError(f"{url}: invalid response status {error.code} {error.reason}") from None
    except OSError as error:
        if not isinstance(error, urllib.error.URLError) and error.errno in _LOCAL:
            raise store.explained(error) from None
        raise Unreachable(f"{url}: cannot be fetched: {getattr(error, 'reason', error)}") from None
    except ValueError as error:
        raise EngineError(f"{url}: cannot be fetched: {error}") from None
    finally:
        staged.unlink(missing_ok=True)
    if checksum:
        store.remember("http " + wanted, {"size": size})
    return entry
