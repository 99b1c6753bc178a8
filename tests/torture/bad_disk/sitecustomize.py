"""On PYTHONPATH this makes the journal's disk what TORTURE_DISK says: slow (a busy one), full (now and then, in the middle of a write)."""

import errno
import os
import random
import time

_kind = os.environ.get("TORTURE_DISK", "")
_fdatasync, _pwrite = os.fdatasync, os.pwrite


def _slow(file: int) -> None:
    time.sleep(random.uniform(0.02, 0.2))
    _fdatasync(file)


def _full(file: int, data: bytes, offset: int) -> int:
    if time.time() % 2 < 0.5:
        _pwrite(file, bytes(data)[: random.randrange(len(data))], offset)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _pwrite(file, data, offset)


if _kind == "slow":
    os.fdatasync = _slow
if _kind == "full":
    os.pwrite = _full
