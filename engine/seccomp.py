"""The system calls that no step may make, as a filter for the kernel (seccomp(2), classic BPF).

What is refused is what container runtimes refuse by default: mounts and new namespaces, the kernel's keyrings, modules,
clocks and other programs of the machine (bpf, perf, io_uring, userfaultfd), and calls newer than this table.
"""

from __future__ import annotations

import errno
import platform
import struct
from functools import lru_cache

#: Audit architecture (linux/audit.h) and byte order of arguments are those of the machines that the engine knows.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: name: (number on x86_64, number on aarch64); None where the machine has no such call.
_DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "sysfs": (139, None),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
_CLONE, _CLONE3 = (56, 220), 435
_SOCKET, _IOCTL = (41, 198), (16, 29)
#: file_setattr, the last call of Linux 6.18. A program falls back where a call that it does not need is not there.
_NEWEST = 469
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME (sched.h).
_NAMESPACES = 0x7E020080
_AF_VSOCK, _TIOCSTI, _TIOCLINUX = 40, 0x5412, 0x541C

_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def _word(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _fail(number: int) -> bytes:
    return _word(_RETURN, _ERRNO | number)


def _where(call: int, argument: int, test: int, value: int, answer: bytes) -> bytes:
    """Answer a call where an argument's low word passes a test; every other goes on with the call's number loaded."""
    body = _word(_LOAD, _ARGUMENT + 8 * argument) + _word(test, value, 0, 1) + answer + _word(_LOAD, _NUMBER)
    return _word(_JUMP_EQUAL, call, 0, len(body) // 8) + body


@lru_cache(maxsize=1)
def program(machine: str = "") -> bytes | None:
    """The filter for this machine, as bubblewrap reads it; None for a machine whose calls are not in the table."""
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    column = list(_ARCHITECTURES).index(machine)
    out = _word(_LOAD, _ARCHITECTURE) + _word(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0) + _fail(errno.ENOSYS)
    out += _word(_LOAD, _NUMBER)
    # The x32 calls of x86_64 carry a bit that puts them above every number of the table.
    out += _word(_JUMP_ABOVE, _NEWEST, 0, 1) + _fail(errno.ENOSYS)
    # clone3 passes its flags in memory, which a filter cannot read: libraries go back to clone.
    out += _word(_JUMP_EQUAL, _CLONE3, 0, 1) + _fail(errno.ENOSYS)
    for numbers in _DENIED.values():
        number = numbers[column]
        if number is not None:
            out += _word(_JUMP_EQUAL, number, 0, 1) + _fail(errno.EPERM)
    out += _where(_CLONE[column], 0, _JUMP_BITS, _NAMESPACES, _fail(errno.EPERM))
    out += _where(_SOCKET[column], 0, _JUMP_EQUAL, _AF_VSOCK, _fail(errno.EAFNOSUPPORT))
    for request in (_TIOCSTI, _TIOCLINUX):
        out += _where(_IOCTL[column], 1, _JUMP_EQUAL, request, _fail(errno.EPERM))
    return out + _word(_RETURN, _ALLOW)
