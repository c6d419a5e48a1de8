"""`ocpp-station messages`: what station and CSMS said to each other last, one message a line, without secrets."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from station.commands import errors, local
from station.shell.logs import one_line
from station.store import files

FOLLOW_EVERY_S = 1.0
LONGEST_SHOWN = 160


class View(NamedTuple):
    """How they are shown."""

    last: int = 20
    full: bool = False
    raw: bool = False
    follow: bool = False
    save: str | None = None


def show(address: str, view: View) -> int:
    """Show the last ones; with `follow` the next ones, too, until somebody has seen enough."""
    after = 0
    while True:
        try:
            answer = local.ask(address, {"cmd": "messages", "after": after})
        except local.NotRunning as gone:
            return errors.tell(str(gone), "is ocpp-station.service running?", errors.EX_NOT_RUNNING)
        if not answer.get("ok"):
            return errors.tell(str(answer.get("error")), "", 1)
        heard = answer["messages"]
        if view.save is not None:
            return _save(Path(view.save), heard)
        for each in heard[-view.last :] if after == 0 else heard:
            sys.stdout.write((json.dumps(each) if view.raw else line(each, full=view.full)) + "\n")
        sys.stdout.flush()
        if not view.follow:
            return 0
        after = heard[-1]["number"] if heard else after
        try:
            time.sleep(FOLLOW_EVERY_S)
        except KeyboardInterrupt:
            return 0


def _save(path: Path, heard: Sequence[dict[str, Any]]) -> int:
    """All that are kept, as JSON lines, for the owner's eyes."""
    try:
        files.replace(path, "".join(json.dumps(each) + "\n" for each in heard).encode())
    except OSError as error:
        return errors.tell(f"{path}: {error.strerror or error}", "name a file that you may write", 1)
    sys.stdout.write(f"{path}: {len(heard)} messages\n")
    return 0


def line(told_: dict[str, Any], *, full: bool) -> str:
    """`10:15:02.120 -> Heartbeat {}`: an arrow from the station to the CSMS, or back."""
    arrow = "->" if told_["by"] == "station" else "<-"
    parts = [told_["time"][11:23], arrow, told_.get("action") or "?"]
    if told_["kind"] != "call":
        parts.append(told_["kind"])
    if "took_s" in told_:
        parts.append(f"({told_['took_s']:.3f} s)")
    if told_["kind"] == "error":
        parts += [told_["code"], told_["description"]]
    if "payload" in told_:
        shown = json.dumps(told_["payload"], ensure_ascii=False, separators=(", ", ": "))
        parts.append(shown if full or len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}...")
    else:
        parts.append(f"{told_['size']} characters")
    return one_line(" ".join(filter(None, parts)))
