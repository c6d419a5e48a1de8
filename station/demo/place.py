"""Where the demo plays: a folder that goes when it ends, with a throw-away authority, secrets and a station.yaml.

The file is written as an operator would write it, so it is also an example.
"""

from __future__ import annotations

import secrets
import ssl
from pathlib import Path
from typing import NamedTuple

from certs.throwaway import Authority, Issued, Wish

IDENTITY = "DEMO-001"
SERIAL = "4711-0001"
OPERATOR = "Demo Operator"

CONFIG = """\
station: {{identity: {identity}, vendor: Example, model: Fast 350, serial: "{serial}", organization: {operator}}}
csms:
  url: {url}
  security_profile: {profile}
{secrets}
state_directory: state
control_socket: control.sock
simulator: {{evses: 2, max_current_a: 500}}       # 345 kW, so that a session takes seconds
variables:
- component: SampledDataCtrlr
  variable: TxUpdatedMeasurands
  value: Energy.Active.Import.Register,Power.Active.Import
- {{component: OCPPCommCtrlr, variable: RetryBackOffWaitMinimum, value: 1}}
- {{component: OCPPCommCtrlr, variable: RetryBackOffRandomRange, value: 0}}
"""

BASIC_AUTH = "  password_file: password\n"
TLS = "  ca_file: csms-root.pem\n"
CLIENT_CERTIFICATE = "  certificate: {chain}\n  key_file: {key}\n"


class Place(NamedTuple):
    """The folder and what the CSMS needs of it."""

    folder: Path
    profile: int
    password: str | None
    tls: ssl.SSLContext | None
    station: Issued | None

    @property
    def config(self) -> Path:
        """The station.yaml."""
        return self.folder / "station.yaml"

    @property
    def socket(self) -> Path:
        """The agent's control socket."""
        return self.folder / "control.sock"

    def write(self, port: int) -> None:
        """Write the station.yaml for a CSMS on this port."""
        scheme = "ws" if self.tls is None else "wss"
        lines = BASIC_AUTH if self.password is not None else ""
        lines += TLS if self.tls is not None else ""
        if self.station is not None:
            lines += CLIENT_CERTIFICATE.format(chain=self.station.chain.name, key=self.station.key.name)
        text = CONFIG.format(
            identity=IDENTITY,
            serial=SERIAL,
            operator=OPERATOR,
            url=f"{scheme}://localhost:{port}/ocpp",
            profile=self.profile,
            secrets=lines.rstrip("\n"),
        )
        self.config.write_text(text, "utf-8")


def furnish(folder: Path, profile: int) -> Place:
    """Make keys, certificates and a password for a security profile."""
    password, tls, station = None, None, None
    if profile < 3:  # noqa: PLR2004 - the name of the profile is its number
        password = secrets.token_urlsafe(24)
        (folder / "password").touch(0o600)
        (folder / "password").write_text(password, "ascii")
    if profile > 1:
        authority = Authority.create("Demo root", folder)
        server = authority.issue("localhost", Wish(names=("localhost", "127.0.0.1"), organization=OPERATOR))
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(server.chain, server.key)
        (folder / "csms-root.pem").write_text(authority.root_pem, "ascii")
        if profile == 3:  # noqa: PLR2004 - the same
            station = authority.issue(SERIAL, Wish(organization=OPERATOR))
            tls.verify_mode = ssl.CERT_REQUIRED
            tls.load_verify_locations(cadata=authority.root_pem)
    return Place(folder, profile, password, tls, station)
