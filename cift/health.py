"""``python -m cift.health``: the image's health check, without curl and without a shell."""

from __future__ import annotations

import http.client
import sys

from cift import __version__


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    try:
        connection.request("GET", "/health", headers={"User-Agent": f"cift-healthcheck/{__version__}"})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError as error:
        print(f"unhealthy: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
