"""A network with nothing in it but this process and those it starts: what listens there cannot be reached from outside.

The server that TensorFlow runs in each worker listens on all interfaces, asks for no password, and runs what it is sent.
Workers of one machine need nothing but each other, so they get a network namespace, where Linux allows one.
"""

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from dnnlib.errors import UserError

_NEW_USER, _NEW_NETWORK = 0x1000_0000, 0x4000_0000  # CLONE_NEWUSER, CLONE_NEWNET: unshare(2)
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS: netdevice(7)
_UP, _LOOPBACK = 0x1, 0x8  # IFF_UP, IFF_LOOPBACK
_REQUEST = "16sH22x"  # struct ifreq: name, flags


def enter_private_network() -> None:
    """Moves this process, which must have one thread only, into a network of its own, in which 127.0.0.1 is as ever.

    Raises OSError where the system does not allow that; then nothing has changed.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(_NEW_NETWORK)  # root may
    except PermissionError:
        _unshare(_NEW_USER | _NEW_NETWORK)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_REQUEST, b"lo", _UP))


def check_ports(workers: Sequence[str], opened: bool) -> None:
    """Raises UserError for workers that all are on this machine, and whose ports others could reach all the same.

    workers: host:port of each.
    opened: whether the user has said that this may be.
    """
    if workers and not opened and all(_on_loopback(worker) for worker in workers) and not in_private_network():
        raise UserError(
            f"--workers {','.join(workers)}: all who reach this machine could run code through these ports, for TensorFlow "
            "asks for no password; start such workers with tools/launch.py --local N, which closes the ports, or give "
            "--open-ports"
        )


def in_private_network() -> bool:
    """Tells whether no interface is up but loopback. (False where that cannot be known.)"""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for _, name in socket.if_nameindex():
                request = struct.pack(_REQUEST, name.encode(), 0)
                _, flags = struct.unpack(_REQUEST, fcntl.ioctl(any_socket, _GET_FLAGS, request))
                if flags & _UP and not flags & _LOOPBACK:
                    return False
    except OSError:
        return False
    return True


def _on_loopback(worker: str) -> bool:
    """Tells whether host:port is of this machine alone."""
    host = worker.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unshare(flags: int) -> None:
    """Calls unshare(2), which Python has from 3.12 on. Raises OSError as the system reports it."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "unshare"):
        raise OSError("this system has no network namespaces")
    if library.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
