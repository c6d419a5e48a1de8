"""The measured station: two simulated EVSEs with meters, a file store on disk, a control socket."""

from __future__ import annotations

import shutil
from pathlib import Path

CONFIG = """\
"""


class Setting:
    """Files of one station in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.control = folder / "control.sock"

    @property
    def database(self) -> Path:
        """The station's database."""
        return self.state / "station.db"

    def clean(self) -> None:
        """Forget what the station stored."""
        shutil.rmtree(self.state, ignore_errors=True)

    def write(self, url: str) -> Path:
        """Write station.yaml for a CSMS at `url`; its path."""
        path = self.folder / "station.yaml"
        path.write_text(CONFIG.format(url=url, state=self.state, control=self.control), "utf-8")
        return path
