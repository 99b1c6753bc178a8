"""The program that keeps a session's network: run by ``engine.network`` in a user and process namespace of its own.

It makes a namespace with a bridge, starts passt (whose sockets are the host's, so it has to begin outside) as the way
out of it, and gives each place on the network a namespace that a veth pair joins to the bridge. Standard library only,
and nothing of the engine: it runs with an interpreter alone (``python -I -S``).

Requests on standard input, a SOCK_SEQPACKET: ``place`` is answered by the place's address and its namespace;
``socket`` with a namespace, by a TCP socket in it. An answer that begins with ``!`` is a reason why not.
"""

from __future__ import annotations

import _thread
import ctypes
import fcntl
import os
import socket
import struct
import sys
from contextlib import suppress

BRIDGE = "10.87.0.1"
#: Outside of the bridge's network, so that it is looked for on the way out: passt's end, ours, and where names are asked.
GATEWAY, OUTSIDE, BITS = "10.86.0.1", "10.86.0.2", 30
_NAMESPACE = "/proc/thread-self/ns/net"
_CLONE_NEWNET, _IFF_UP = 0x40000000, 0x1
# linux/sockios.h, linux/rtnetlink.h, linux/if_link.h, linux/veth.h
_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCGIFINDEX = 0x890B, 0x8914, 0x8916, 0x891C, 0x8933
_RTM_NEWLINK, _CREATE = 16, 0x1 | 0x4 | 0x200 | 0x400  # NLM_F_REQUEST | ACK | EXCL | CREATE
_RTM_SETLINK, _CHANGE = 19, 0x1 | 0x4
_IFLA_AF_SPEC, _IFLA_INET_CONF, _IPV4_DEVCONF_FORWARDING = 26, 1, 1
_IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 4, 10, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_RTF_UP, _RTF_GATEWAY = 0x1, 0x2
_ETH_P_ALL, _MTU, _MAC = 0x3, 65520, bytes.fromhex("020000000001")

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)


def _enter(namespace: int) -> None:
    _called(_libc.setns(namespace, _CLONE_NEWNET), "setns")


def _attribute(kind: int, data: bytes) -> bytes:
    return (struct.pack("HH", 4 + len(data), kind) + data).ljust((4 + len(data) + 3) & ~3, b"\0")


def _link(name: str, *more: bytes, up: bool = True) -> bytes:
    """What describes a device: a header (rtnetlink(7)) and attributes."""
    flag = _IFF_UP if up else 0
    mtu = _attribute(_IFLA_MTU, struct.pack("I", _MTU))
    return (
        struct.pack("BxHiII", 0, 0, 0, flag, flag)
        + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
        + mtu
        + b"".join(more)
    )


def _make(kind: str, link: bytes, peer: bytes = b"") -> None:
    """A network device, perhaps with a peer, which the kernel refuses to set up in the same request."""
    info = _attribute(_IFLA_INFO_KIND, kind.encode())
    info += _attribute(_IFLA_INFO_DATA, _attribute(_VETH_INFO_PEER, peer)) if peer else b""
    _ask(_RTM_NEWLINK, _CREATE, link + _attribute(_IFLA_LINKINFO, info), f"a {kind} device cannot be made")


def _ask(request: int, flags: int, body: bytes, failed: str) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as control:
        control.send(struct.pack("IHHII", 16 + len(body), request, flags, 1, 0) + body)
        (error,) = struct.unpack_from("i", control.recv(65536), 16)
    if error:
        raise OSError(-error, f"{failed}: {os.strerror(-error)}")


def _forward(name: str) -> None:
    """Let what comes in by a device go out by another; of a container, /proc/sys could not be written."""
    setting = _attribute(_IFLA_INET_CONF, _attribute(_IPV4_DEVCONF_FORWARDING, struct.pack("I", 1)))
    body = struct.pack("BxHiII", 0, 0, _index(name), 0, 0)
    body += _attribute(_IFLA_AF_SPEC, _attribute(socket.AF_INET, setting))
    _ask(_RTM_SETLINK, _CHANGE, body, f"{name} cannot forward")


def _address(name: str, address: str, bits: int) -> None:
    """Give a device its address and set it up (netdevice(7))."""
    netmask = socket.inet_ntoa(struct.pack("!I", (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, netmask)) if address else ():
            fcntl.ioctl(control, request, struct.pack("16s", name.encode()) + _sockaddr(value))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), _IFF_UP))


def _sockaddr(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _default_route(gateway: str) -> None:
    entry = struct.pack(
        "L16s16s16sH", 0, _sockaddr("0.0.0.0"), _sockaddr(gateway), _sockaddr("0.0.0.0"), _RTF_UP | _RTF_GATEWAY
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCADDRT, entry.ljust(120, b"\0"))


def _index(name: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFINDEX, struct.pack("16s24x", name.encode()))
    return int(struct.unpack_from("i", answer, 16)[0])


def _namespace() -> int:
    """A new network namespace, entered, with its loopback up."""
    _called(_libc.unshare(_CLONE_NEWNET), "unshare")
    _address("lo", "", 0)
    return os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)


class Wires:
    """The bridge and what is joined to it."""

    def __init__(self) -> None:
        self.middle = _namespace()
        _make("bridge", _link("bridge"))
        _address("bridge", BRIDGE, 16)
        self.bridge = _index("bridge")
        _forward("bridge")
        self.made = 1

    def place(self) -> tuple[str, int]:
        """A namespace joined to the bridge, and its address."""
        self.made += 1
        number = 2 + (self.made - 2) % 65000
        address = f"10.87.{number >> 8}.{number & 255}"
        made = _namespace()
        try:
            _enter(self.middle)
            master = _attribute(_IFLA_MASTER, struct.pack("I", self.bridge))
            there = _attribute(_IFLA_NET_NS_FD, struct.pack("I", made))
            _make("veth", _link(f"v{number}", master), _link("eth0", there, up=False))
            _enter(made)
            # A step's user namespace lies below the network's, and has no power over its low ports.
            with suppress(OSError), open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as file:
                file.write("0")
            _address("eth0", address, 16)
            _default_route(BRIDGE)
        finally:
            _enter(self.middle)
        return address, made

    def socket(self, namespace: int) -> int:
        _enter(namespace)
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC).detach()
        finally:
            _enter(self.middle)


def _passt(words: list[str]) -> tuple[socket.socket, int]:
    """passt, forked while this process is still in the namespace outside: a stream of frames, and what it complains."""
    ours, theirs = socket.socketpair()
    said, say = os.pipe()
    if os.fork():
        theirs.close()
        os.close(say)
        return ours, said
    null = os.open(os.devnull, os.O_RDWR)
    for number, descriptor in enumerate((null, null, say)):
        os.dup2(descriptor, number)
    os.set_inheritable(theirs.fileno(), True)
    words = [*words, "--foreground", "--quiet", "--fd", str(theirs.fileno()), "--no-map-gw", "--ipv4-only", "--no-dhcp"]
    words += ["--address", OUTSIDE, "--netmask", str(BITS), "--gateway", GATEWAY, "--dns-forward", GATEWAY]
    try:
        os.execv(words[0], [*words, "--mtu", str(_MTU), "-t", "none", "-u", "none"])
    finally:
        os._exit(1)


def _await(stream: socket.socket, said: int) -> None:
    """Ask passt for its hardware address (RFC 826), which it tells once it is ready."""
    ends = socket.inet_aton(OUTSIDE) + bytes(6) + socket.inet_aton(GATEWAY)
    question = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + _MAC + ends
    frame = b"\xff" * 6 + _MAC + struct.pack("!H", 0x0806) + question
    with suppress(OSError):
        stream.sendall(struct.pack("!I", len(frame)) + frame)
        if head := stream.recv(4, socket.MSG_WAITALL):
            stream.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL)
            return
    lines = os.read(said, 4096).decode(errors="replace").strip().splitlines()
    raise OSError(f"passt: {lines[-1] if lines else 'it cannot be started'}")


def _way_out(stream: socket.socket) -> None:
    """A device whose frames go to passt and come from it (each with its length before it, as QEMU writes them)."""
    _make("veth", _link("outside"), _link("wire", up=False))
    _address("wire", "", 0)
    _address("outside", OUTSIDE, BITS)
    _forward("outside")
    _default_route(GATEWAY)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    wire.bind(("wire", _ETH_P_ALL))
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def outwards() -> None:
        while True:
            frame = wire.recv(_MTU + 64)
            stream.sendall(struct.pack("!I", len(frame)) + frame)

    def inwards() -> None:
        reader = stream.makefile("rb", 1 << 20)
        while head := reader.read(4):
            with suppress(OSError):
                wire.send(reader.read(struct.unpack("!I", head)[0]))

    _thread.start_new_thread(outwards, ())
    _thread.start_new_thread(inwards, ())


def main(passt: list[str]) -> None:
    channel = socket.socket(fileno=0)
    try:
        stream, said = _passt(passt)
        wires = Wires()
        _await(stream, said)
        _way_out(stream)
        channel.send(b"ready")
    except OSError as error:
        channel.send(f"!{error.strerror or error}".encode())
        return
    while True:
        asked, given, _, _ = socket.recv_fds(channel, 64, 1)
        if not asked:
            return
        try:
            text, answer = wires.place() if asked == b"place" else ("", wires.socket(given[0]))
        except OSError as error:
            channel.send(f"!{error.strerror or error}".encode())
        else:
            socket.send_fds(channel, [text.encode() or b"-"], [answer])
            os.close(answer)
        for descriptor in given:
            os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1:])
