"""What may go wrong with a device, split by what the caller can do about it.

    DeviceError
      NotFound    the device, its port or its channel is not there: reopen later
      Timeout     it is there (or was) but did not answer in time: the next try may succeed
      BadReply    it answered, but not in its language: checksum, length, an implausible value
      Refused     it understood and said no: a jammed lock, an exception code, a limit out of range
    BadOptions    the configuration is wrong: no device was touched; never raised after the constructor

A `DeviceError` becomes a fact about the station (design 6), never an answer to a CSMS.
"""

from __future__ import annotations


class DeviceError(Exception):
    """A device did not do what it was asked; `device` is the configured name, `reason` is for people."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(device, reason)
        self.device = device
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.device}: {self.reason}"


class NotFound(DeviceError):  # noqa: N818 - reads as the sentence it makes in `raises`
    """The port does not exist, was unplugged, or nothing on the bus has this address."""


class Timeout(DeviceError):  # noqa: N818 - reads as the sentence it makes in `raises`
    """No answer within the driver's time limit."""


class BadReply(DeviceError):  # noqa: N818 - reads as the sentence it makes in `raises`
    """An answer that is damaged or makes no sense."""


class Refused(DeviceError):  # noqa: N818 - reads as the sentence it makes in `raises`
    """A well-formed answer that says no."""


class BadOptions(ValueError):  # noqa: N818 - as above
    """The options of a driver are wrong. `path` is the place below the driver's own entry, such as `.bus` or `.port`.

    The text names the driver, the place and the remedy: `meter 'main': .address: Expected int <= 247`.
    """

    def __init__(self, driver: str, path: str, reason: str) -> None:
        super().__init__(driver, path, reason)
        self.driver = driver
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.driver}: {self.path}: {self.reason}" if self.path else f"{self.driver}: {self.reason}"
