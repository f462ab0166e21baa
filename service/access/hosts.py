"""The hosts that the service answers for, against DNS rebinding: names of others get 421."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from service.errors import Misdirected
from service.settings import PREFIX, Settings

_LOOPBACK = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
_MOST_KNOWN = 256


class Hosts:
    """The rule of ``MNIST_ALLOWED_HOSTS``.

    ``known`` has the Host fields that passed before, so that a request costs one look-up; it is
    None if all hosts are allowed.
    """

    def __init__(self, settings: Settings) -> None:
        self._is_default = not settings.allowed_hosts
        default = _LOOPBACK if is_loopback(settings.host) else ("*",)
        self._names = settings.allowed_hosts or default
        self.known: set[bytes] | None = None if "*" in self._names else set()

    def check(self, host: bytes | None, server: str) -> None:
        """Raises :class:`Misdirected` for a Host field that names another host.

        ``server`` is where the request arrived, if the door knows it and the settings do not.
        """
        if self.known is None or host is None or host in self.known:
            return
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):
            name = name.partition(":")[0] if name.count(":") == 1 else name
            name = name.rpartition(":")[0] if "]:" in name else name
        if not self._allows(name.removesuffix(".")) and not _is_own_address(name):
            if self._is_default and server and not is_loopback(server):
                return
            raise Misdirected(
                f"the service does not answer for the host {name[:80]!r}; "
                f"{PREFIX}ALLOWED_HOSTS lists the hosts that it answers for"
            )
        if len(self.known) < _MOST_KNOWN:
            self.known.add(host)

    def _allows(self, name: str) -> bool:
        above = name.partition(".")[2]
        while above and f"*.{above}" not in self._names:
            above = above.partition(".")[2]
        return bool(above) or name in self._names


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is one of the loopback interface."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_own_address(name: str) -> bool:
    """Whether the name is an IP address of this machine: kubelet and Prometheus ask by that.

    A rebinding page never does, since its own name is in the Host field.
    """
    try:
        address = ip_address(name.strip("[]"))
        if address.is_unspecified or address.is_multicast:
            return False
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except (ValueError, OSError):
        return False
    return True
