"""Downloads over HTTP(S), with the limits and errors that the callers need.

urllib takes `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` from the environment by itself.
"""

from __future__ import annotations

import http.client
import io
import time
import urllib.error
import urllib.request
from typing import BinaryIO

from images.digest import CHUNK
from images.errors import ImageError

TIMEOUT = 60.0
"""Seconds without a byte after which a connection is given up."""
ATTEMPTS = 3


class Absent(ImageError):
    """The server answered that there is no such file (404 or 410)."""


class Unreachable(ImageError):
    """No server answered, or it failed."""


def download(url: str, target: BinaryIO, limit: int) -> int:
    """Write what stands at `url` to `target` (seekable) and return its bytes.

    Raises Absent, Unreachable (after ATTEMPTS tries), and ImageError for an answer of more than `limit` bytes.
    """
    failure = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.5 * attempt)
            target.seek(0)
            target.truncate()
        try:
            return _once(url, target, limit)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise Absent(f"{url}: not there (HTTP {error.code})") from error
            failure = f"HTTP {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            failure = str(getattr(error, "reason", error)) or type(error).__name__
    raise Unreachable(f"{url}: {failure}; check the network, HTTPS_PROXY and SSL_CERT_FILE")


def _once(url: str, target: BinaryIO, limit: int) -> int:
    if not url.startswith(("http://", "https://")):
        raise ImageError(f"{url}: only http and https addresses are supported")
    request = urllib.request.Request(url, headers={"User-Agent": "images-debian/1"})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        total = 0
        while chunk := answer.read(CHUNK):
            total += len(chunk)
            if total > limit:
                raise ImageError(f"{url}: longer than the {limit} bytes expected; refused")
            target.write(chunk)
        expected = answer.headers.get("Content-Length")
        if expected is not None and total != int(expected):
            raise http.client.IncompleteRead(b"", int(expected) - total)
        return total


def get(url: str, limit: int) -> bytes:
    """The bytes at `url`, at most `limit`; errors as `download`."""
    buffer = io.BytesIO()
    download(url, buffer, limit)
    return buffer.getvalue()
