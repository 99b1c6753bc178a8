"""User namespaces to run steps in, and the plain sentence where a machine forbids them."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

from engine.errors import EngineError

_CLONE_NEWUSER = 0x10000000
#: Users that a root's namespace knows at the least. They are the machine's own numbers, so files keep their owners; what makes it
#: safe is that the namespace has no power over anything outside its mounts.
_RANGE = 65536

FORBIDDEN = (
    "this machine forbids user namespaces to unprivileged programs, and the embedded engine runs its steps in one; "
    "allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu; in a "
    "container: the system calls unshare and mount, and to its root CAP_SETUID, CAP_SETGID and CAP_SETFCAP), "
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
    return _made(None)


@lru_cache(maxsize=1)
def below() -> int:
    """The same of one below ``namespace()``, with the same users and no power over what belongs to that."""
    return _made(namespace())


def _made(parent: int | None) -> int:
    """A user namespace below another. Its users are written by a process in that other, whose child it is made by."""
    libc = ctypes.CDLL(None, use_errno=True)
    told, tell = os.pipe()
    held, hold = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            os.close(hold)
            if parent is None or libc.setns(parent, _CLONE_NEWUSER) == 0:
                _write_for_a_child(libc, tell, held)
        finally:
            os._exit(0)
    # Each side keeps its own ends alone: the end of one is the end of what the other reads.
    os.close(tell)
    os.close(held)
    try:
        child = os.read(told, 16)
        if not child:
            raise EngineError(FORBIDDEN)
        return os.open(f"/proc/{int(child)}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(hold)
        os.close(told)
        os.waitpid(writer, 0)


def _write_for_a_child(libc: ctypes.CDLL, tell: int, held: int) -> None:
    """Tell the number of a child in a new namespace once its users are written; both end with the pipe ``held``."""
    ready, make = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(tell)
            if libc.unshare(_CLONE_NEWUSER) == 0:
                os.write(make, b"1")
            os.close(make)
            os.read(held, 1)
        finally:
            os._exit(0)
    os.close(make)
    if os.read(ready, 1):
        write_maps(child)
        os.write(tell, str(child).encode())
    os.close(tell)
    os.read(held, 1)
    os.waitpid(child, 0)


def _identity(name: str) -> str:
    """All users, or groups, that the caller's own namespace knows, under their own numbers."""
    with open(f"/proc/self/{name}") as file:
        rows = [line.split() for line in file]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


def write_maps(child: int) -> None:
    """Give a child's new user namespace its users: a whole range where the caller owns one, else the caller alone.

    Raises:
        OSError: the caller may not.
    """
    if owns_users():
        maps = {name: _identity(name) for name in ("uid_map", "gid_map")}
    else:
        maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    for name, text in maps.items():
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(text)
