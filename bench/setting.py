"""The measured station: two simulated EVSEs, a database on a real disk, a control socket."""

from __future__ import annotations

import shutil
from pathlib import Path

CONFIG = """\
station: {{identity: BENCH001, vendor: Example, model: Bench, serial: "1"}}
csms: {{url: "{url}", security_profile: 1, password_file: password}}
state_directory: state
control_socket: {control}
simulator: {{evses: {evses}, phases: {phases}}}
log_level: warning
"""


class Setting:
    """Files of one station in one folder."""

    def __init__(self, folder: Path, evses: int = 2, phases: int = 1) -> None:
        self.folder = folder
        self.evses = evses
        self.phases = phases
        self.state = folder / "state"
        self.control = folder / "control.sock"
        self.port = 0
        """Of the CSMS: the first start chooses one and the others keep it, for a file that changed is parsed anew."""

    @property
    def database(self) -> Path:
        """The station's database."""
        return self.state / "station.db"

    def clean(self) -> None:
        """Forget what the station stored."""
        shutil.rmtree(self.state, ignore_errors=True)

    def write(self, url: str) -> Path:
        """Write station.yaml for a CSMS at `url`; its path."""
        password = self.folder / "password"
        password.write_text("not a secret, 16+", "utf-8")
        password.chmod(0o600)
        path = self.folder / "station.yaml"
        path.write_text(CONFIG.format(url=url, control=self.control, evses=self.evses, phases=self.phases), "utf-8")
        return path
