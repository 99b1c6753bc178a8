"""On PYTHONPATH this makes every fsync slow: what a busy disk does."""

import os
import random
import time

_fdatasync = os.fdatasync


def _slow(file: int) -> None:
    time.sleep(random.uniform(0.02, 0.2))
    _fdatasync(file)


os.fdatasync = _slow
