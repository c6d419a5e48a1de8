"""What updates of the agent and of the whole system have in common: how a file comes to its installer, or does not.

`switch_on`: power comes back; nobody waits until the machine has booted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.fileservers import Answer, HttpServer, Seen
from tests.system.machine import PATIENCE_S
from tests.system.wallbox import Wallbox

FETCHED = ["Downloading", "Downloaded", "SignatureVerified"]


def waits_through_a_power_cut(box: Wallbox, content: bytes, switch_on: Callable[[], object]) -> str:
    """For a transaction, whose vehicle has left when power comes back: nobody is waited for any more."""
    session = box.charge()
    box.order(content)
    box.cut_power_when(lambda: "InstallScheduled" in box.statuses(), "the wait")
    assert box.statuses() == [*FETCHED, "InstallScheduled"]
    switch_on()
    return session


def is_fetched_through_power_cuts(box: Wallbox, content: bytes, switch_on: Callable[[], object]) -> str:
    """One while it downloads beside a transaction, one while its signature is checked; then there is no power."""
    session = box.charge()
    is_held = hold_second_half(box.web, content)
    box.order(content)
    box.cut_power_when(is_held, "half of the file")
    boots, asked = len(box.boots()), threading.Event()
    box.web.script = lambda _seen: None if asked.wait(PATIENCE_S) else Answer(503)

    switch_on()
    box.until_silent(boots + 1)  # else the check is over when at last it is told what comes before it
    box.cut_power_as_it_tells("Downloaded", asked.set)
    assert box.web.seen[-1].headers["Range"] == f"bytes={len(content) // 2}-"
    assert box.statuses()[-1] == "Downloaded"
    return session


def hold_second_half(web: HttpServer, content: bytes) -> Callable[[], bool]:
    """The server gives half of the file and breaks off; asked for the rest, it is silent. Gives whether it is."""
    silent = threading.Event()

    def script(seen: Seen) -> Answer:
        if "Range" not in seen.headers:
            return Answer(200, {"ETag": web.etag, "Content-Length": str(len(content))}, content[: len(content) // 2])
        silent.set()
        while web.script is script:
            silent.wait(0.1)
        return Answer(503)

    web.script = script
    return silent.is_set


def is_cut_off_in_its_first_run(box: Wallbox, version: str, switch_on: Callable[[], object]) -> None:
    """The new version has told the CSMS of itself, which has not accepted it yet when power is cut."""
    box.csms.script.on("BootNotification", {"status": "Pending", "interval": 300})
    count = len(box.boots())
    switch_on()
    box.cut_power_when(lambda: len(box.boots()) > count, "the new version")
    box.csms.script.default("BootNotification")
    assert box.boots()[-1][1] == version


def comes_to_be_installed(box: Wallbox, version: str, *told: str) -> None:
    """By itself; the CSMS hears it once, after all that came before."""
    assert list(dict.fromkeys(box.until_told("Installed"))) == [*told, "Installed"]
    assert box.version == version
    box.until(lambda: "FirmwareUpdated" in box.security_events(), "FirmwareUpdated")


def refuses_what_is_not_signed(box: Wallbox, content: bytes) -> None:
    """The very same file, with the signature of another one."""
    box.order(content, signed=b"another file")
    assert box.until_told("InvalidSignature") == ["Downloading", "Downloaded", "InvalidSignature"]
    box.until(lambda: "InvalidFirmwareSignature" in box.security_events(), "InvalidFirmwareSignature")


def is_refused_by_the_installer(box: Wallbox, content: bytes) -> None:
    """Rightly signed, and never switched to."""
    box.order(content)
    assert box.until_told("InstallVerificationFailed") == [*FETCHED, "Installing", "InstallVerificationFailed"]
