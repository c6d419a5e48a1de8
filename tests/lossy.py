"""A network that loses packets: real IP packets, in a network namespace of the test's own.

A TUN device leads to a reflector that swaps the two addresses of what it lets through: who dials `THERE` reaches a
server on `HERE`, by way of the loss. TCP's checksums stand the swap.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
import subprocess
import threading

HERE, THERE = "10.209.0.1", "10.209.0.2"
IN_A_NAMESPACE = ("unshare", "--net")
"""In front of a command whose network shall be its own; only root may."""

_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
_PACKET = 65_536


def possible() -> bool:
    """Whether this machine and user can have such a network."""
    try:
        made = subprocess.run([*IN_A_NAMESPACE, "ip", "link"], capture_output=True, check=False)  # noqa: S603 - constants
        return made.returncode == 0 and os.access("/dev/net/tun", os.R_OK | os.W_OK)
    except OSError:
        return False


class Lossy:
    """The network, within a namespace made by `IN_A_NAMESPACE`. `lost` counts the packets that went nowhere."""

    def __init__(self, loss: float) -> None:
        self.lost = self.passed = 0
        self._loss = loss
        self._dice = random.Random(7)  # noqa: S311 - no secret
        self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(self._tun, _TUNSETIFF, struct.pack("16sH22x", b"lossy", _TUN_WITHOUT_HEADER))
        for command in ("link set lo up", f"addr add {HERE}/24 dev lossy", "link set lossy up"):
            subprocess.run(["ip", *command.split()], check=True)  # noqa: S603, S607 - constants, of iproute2
        threading.Thread(target=self._reflect, daemon=True).start()

    def _reflect(self) -> None:
        while True:
            packet = os.read(self._tun, _PACKET)
            if packet[0] >> 4 != 4:
                continue
            if self._dice.random() < self._loss:
                self.lost += 1
                continue
            self.passed += 1
            os.write(self._tun, packet[:12] + packet[16:20] + packet[12:16] + packet[20:])
