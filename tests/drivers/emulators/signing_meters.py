"""Meters that sign: what a Carlo Gavazzi EM580 and a BAUER BSM-WS36A do when their command registers are written.

    python -m tests.drivers.emulators.signing_meters --link /tmp/rs485      (the EM580, unit 1)

Written from the registers' descriptions (EVerest's module for the EM580; bsm-python's register overview, snapshots.md
and ocmf.md for the BSM). Their keys are real: what they sign can be verified.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.drivers.emulators.line import main
from tests.drivers.emulators.modbus_slave import ModbusSlave

DUMPS = Path(__file__).parents[1] / "dumps"


def packed(raw: bytes, size: int) -> list[int]:
    """Bytes as registers, padded with zeros."""
    raw = raw.ljust(2 * size, b"\0")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * size, 2)]


class SigningMeter(ModbusSlave):
    """A key, and texts that are signed with it."""

    dump: str
    curve: ec.EllipticCurve

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.key = ec.generate_private_key(self.curve)
        self.slow = 0
        """How many times a state is looked at before the meter is ready."""
        self._looks: dict[int, tuple[int, int]] = {}
        self.unit = self.do_load(json.loads((DUMPS / f"{self.dump}.json").read_text()))

    @property
    def held(self) -> dict[int, int]:
        """The registers: function 3 and 4 read the same."""
        return self.registers[self.unit]["holding"]

    def do_slow(self, looks: int) -> None:
        """It needs so many looks for whatever it is told to do."""
        self.slow = looks

    def der(self) -> bytes:
        """The public key."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def ocmf(self, payload: dict[str, Any]) -> str:
        """The text, signed."""
        body = json.dumps(payload, separators=(",", ":"))
        signature = self.key.sign(body.encode(), ec.ECDSA(SHA256())).hex()
        return f"OCMF|{body}|" + json.dumps({"SA": f"ECDSA-{self.curve.name}-SHA256", "SD": signature})

    def put(self, address: int, values: list[int]) -> None:
        """Sets registers."""
        self.do_words(self.unit, "holding", address, values)

    def text(self, address: int, size: int) -> str:
        """A text that was written."""
        raw = b"".join(self.held[at].to_bytes(2, "big") for at in range(address, address + size))
        return raw.split(b"\0")[0].decode()

    def becomes(self, address: int, value: int) -> None:
        """A register takes this value after `slow` looks at it."""
        self._looks[address] = (self.slow, value)
        if not self.slow:
            self._settle(address)

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """A look at a register that is about to change."""
        if unit == self.unit and pdu[0] in (3, 4):
            address, count = struct.unpack(">HH", pdu[1:5])
            for at in [at for at in self._looks if address <= at < address + count]:
                left, value = self._looks[at]
                self._looks[at] = (left - 1, value)
                if left <= 0:
                    self._settle(at)
        return super().answer(unit, pdu)

    def _settle(self, address: int) -> None:
        self.held[address] = self._looks.pop(address)[1]


class Em580Meter(SigningMeter):
    """An EM580, unit 1, with a key of 256 bits."""

    dump = "carlo-gavazzi-em580"
    curve = ec.SECP256R1()

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        tables = self.registers[self.unit]
        tables["holding"].update(tables["input"])
        tables["input"] = tables["holding"]
        self.put(0x24FF, [0])
        self.put(0x2600, packed(self.der(), 46))
        self.put(0x6900, [0] * 126)
        self.put(0x7000, [0] * 0x41)
        self.put(0x7100, [0] * 0x10)
        self.put(0x7110, [0] * 2031)
        self.aborted = 0
        self.session: dict[str, Any] | None = None

    def do_lose_power(self) -> None:
        """A session that runs is closed when the power is back; its record waits."""
        if self.session is not None:
            self._end()

    def do_corrupt_record(self) -> None:
        """The record cannot be made good."""
        self.put(0x7100, [3])

    def energy_wh(self) -> int:
        """The import register."""
        return sum(self.held[0x0500 + n] << 16 * n for n in range(4))

    def do_energy(self, wh: int) -> None:
        """What has flowed."""
        self.put(0x0500, [(wh >> 16 * n) & 0xFFFF for n in range(4)])

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """Commands, and the confirmation."""
        del unit
        if address == 0x7040 and values == (0x42,) and self.held[0x7100] == 0:
            self.session = self._reading("B")
            self.becomes(0x7100, 1)
        elif address == 0x7040 and values == (0x45,) and self.session is not None:
            self._end()
        elif address == 0x7040 and values == (0x41,):
            self.session = None
            self.aborted += 1
            self.becomes(0x7100, 0)

    def _end(self) -> None:
        begun, self.session = self.session, None
        payload = {
            "FV": "1.0", "GI": "EM580", "GS": self.text(0x5000, 7), "PG": "T1",
            "IS": bool(self.held[0x7000]), "IT": self.held[0x7006],
            "ID": self.text(0x7007, 20), "CI": self.text(0x701C, 20),
            "RD": [begun, self._reading("E")],
        }  # fmt: skip
        record = self.ocmf(payload).encode()
        size = (len(record) + 1) // 2
        self.put(0x7101, [size])
        self.put(0x7110, packed(record, size))
        self.becomes(0x7100, 2)

    def _reading(self, transaction: str) -> dict[str, Any]:
        seconds = sum(self.held[0x7032 + n] << 16 * n for n in range(4))
        return {"TM": seconds, "TX": transaction, "RV": self.energy_wh(), "RU": "Wh", "ST": "G"}


class BsmMeter(SigningMeter):
    """A BSM-WS36A, unit 42."""

    dump = "bauer-bsm-ws36a"
    curve = ec.SECP256K1()

    def __init__(self, link: Path) -> None:
        super().__init__(link)
        self.put(40197, [64900, 300] + [0] * 300)
        der = self.der()
        self.put(40449, [48, len(der), *packed(der, 48)])
        for number, at in enumerate((40521, 40775, 41029, 41283, 41537)):
            self.put(at, [64901, 252, number, 1] + [0] * 250)
            self.put(41791 + 500 * number, [64903, 498, number, 1] + [0] * 496)
        self.counter = 22990
        self.outcome = 0

    def do_fail(self, outcome: int) -> None:
        """The next snapshots end in this state: 3 failed, 4 no enable signal, 5 no feedback; 0 valid."""
        self.outcome = outcome

    def do_energy(self, tens_of_wh: int) -> None:
        """What has flowed."""
        self.put(40136, [tens_of_wh >> 16, tens_of_wh & 0xFFFF])

    def written(self, unit: int, address: int, values: tuple[int, ...]) -> None:
        """A snapshot is asked for by writing 2 to its state."""
        del unit
        for number, at in enumerate((40521, 40775, 41029, 41283, 41537)):
            if address == at + 3 and values == (2,):
                self._snapshot(number, at)

    def _snapshot(self, number: int, at: int) -> None:
        self.counter += 1
        self.put(at + 6, [self.held[40136], self.held[40137], self.held[40144]])
        seconds = self.held[40260] << 16 | self.held[40261]
        reading = {
            "TM": seconds, "TX": "CBEBE"[number], "RV": 0, "RI": "1-0:1.8.0*198", "RU": "Wh",
            "XV": (self.held[40136] << 16 | self.held[40137]) * 10, "XT": number, "ST": "G",
        }  # fmt: skip
        payload = {
            "FV": "1.0",
            "GS": "001BZR1521070006",
            "PG": f"T{self.counter}",
            "ID": self.text(40279, 70),
            "RD": [reading],
        }
        self.put(41791 + 500 * number + 4, packed(self.ocmf(payload).encode(), 496))
        self.becomes(at + 3, self.outcome)


if __name__ == "__main__":
    main(Em580Meter, "an EM580 on a pty")
