"""Asks the service for its user."""

import sys
import time
import urllib.request

for _ in range(1200):
    try:
        sys.exit(urllib.request.urlopen("http://127.0.0.1:9000/").read() != b"4242")
    except OSError:
        time.sleep(0.05)
sys.exit("no answer")
