"""A user namespace to run steps in, and the plain sentence where a machine forbids it."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

from engine.errors import EngineError

_CLONE_NEWUSER = 0x10000000
#: Users a root's namespace knows. They are the machine's own numbers, so files keep their owners; what makes it
#: safe is that the namespace has no power over anything outside its mounts.
_RANGE = 65536

FORBIDDEN = (
    "this machine forbids user namespaces to unprivileged programs, and the embedded engine runs its steps in one; "
    "allow them (sysctl user.max_user_namespaces, and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), "
    "run as root, or use a Dagger engine (--engine dagger)"
)


@lru_cache(maxsize=1)
def owns_users() -> bool:
    """Whether this process is a root that can give files to any user: of the machine, or of a range of its users."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as file:
        return sum(int(line.split()[2]) for line in file) >= _RANGE


@lru_cache(maxsize=1)
def namespace() -> int:
    """A descriptor of a user namespace in which the caller is root; it lives as long as this process.

    Raises:
        EngineError: the kernel or its policy forbids user namespaces.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(done_write)
            os.write(ready_write, b"0" if libc.unshare(_CLONE_NEWUSER) else b"1")
            os.read(done_read, 1)
        finally:
            os._exit(0)
    # Each side keeps its own ends alone: the end of one is the end of what the other reads.
    os.close(ready_write)
    try:
        if os.read(ready_read, 1) != b"1":
            raise EngineError(FORBIDDEN)
        try:
            write_maps(child)
        except OSError:
            raise EngineError(FORBIDDEN) from None
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(done_write)
        os.waitpid(child, 0)
        os.close(ready_read)
        os.close(done_read)


def write_maps(child: int) -> None:
    """Give a child's new user namespace its users: a whole range where the caller owns one, else the caller alone."""
    if owns_users():
        maps = {"uid_map": f"0 0 {_RANGE}", "gid_map": f"0 0 {_RANGE}"}
    else:
        maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    for name, text in maps.items():
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(text)
