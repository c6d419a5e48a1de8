"""A real agent as a child process, on simulated hardware, for tests of whole processes.

with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url) as agent:
    csms.wait_for("BootNotification")
    agent.command("plug_in", evse=1)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PASSWORD = "a password of 16 and more"
PATIENCE_S = 60.0

CONFIG = """\
station: {{identity: CS001, vendor: Example, model: Twin, serial: "4711"}}
csms:
  url: {url}
  security_profile: {profile}
{secrets}
state_directory: state
control_socket: control.sock
simulator: {{evses: 2}}
variables:
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
{more}"""


class Agent:
    """One `ocpp-station run` in its own folder. Killed at the end of the `with`, if it still runs."""

    def __init__(self, folder: Path, url: str, *, profile: int = 1, secrets: str = "", more: str = "") -> None:
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.program: tuple[str, ...] = (sys.executable, "-m", "station")
        self.process: subprocess.Popen[bytes] | None = None
        self.stderr: int | None = None  # agent.log
        password = folder / "password"
        password.write_text(PASSWORD, "utf-8")
        password.chmod(0o600)
        secrets = secrets or "  password_file: password\n"
        text = CONFIG.format(url=url, profile=profile, secrets=secrets, more=more)
        (folder / "station.yaml").write_text(text, "utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            sys.stderr.write(self.log)

    def start(self) -> None:
        """Start it, after a stop again."""
        environment = {k: v for k, v in os.environ.items() if k not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own agent
                [*self.program, "run", "--config", str(self.folder / "station.yaml")],
                stdout=log,
                stderr=log if self.stderr is None else self.stderr,
                env={**environment, **self.environment},
                cwd=Path(__file__).parent.parent,
            )

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "agent.log").read_text("utf-8")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL, as a power cut of the controller would end it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def ask(self, line: bytes) -> dict[str, Any]:
        """One line to the control socket, one back; waits until it serves."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as wire:
                    wire.settimeout(PATIENCE_S)
                    wire.connect(str(self.folder / "control.sock"))
                    wire.sendall(line + b"\n")
                    with wire.makefile("rb") as stream:
                        answer: dict[str, Any] = json.loads(stream.readline())
                        return answer
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < end, "the control socket never served"
                time.sleep(0.02)

    def command(self, cmd: str, **fields: object) -> dict[str, Any]:
        """A command that must work."""
        answer = self.ask(json.dumps({"cmd": cmd, **fields}).encode())
        assert answer["ok"], answer
        return answer

    def until(self, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """Ask for the state until `condition(status)` holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition(status := self.command("status")):
            assert time.monotonic() < end, f"waited for {what}: {status}"
            time.sleep(0.05)
        return status

    def until_logged(self, event: str, count: int = 1, **fields: str) -> list[str]:
        """Wait for `count` log lines of this event with these fields, and give them."""
        end = time.monotonic() + PATIENCE_S
        wanted = [f" {event} ", *(f" {name}={value} " for name, value in fields.items())]
        while True:
            found = [line for line in self.log.splitlines() if all(each in f"{line} " for each in wanted)]
            if len(found) >= count:
                return found
            assert time.monotonic() < end, f"{event} {fields} was not logged {count} times"
            time.sleep(0.02)
