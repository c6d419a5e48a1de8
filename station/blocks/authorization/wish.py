"""What a token is presented for, and what the parts of this block share."""

from __future__ import annotations

from typing import Literal

import msgspec

from station.facts import Facts, Via
from station.now import Instant
from station.ocpp.types import IdTokenType, OCSPRequestDataType
from station.ports import Csms, Jobs, Vehicles
from station.state.connectors import Connectors
from station.state.local_list import LocalList
from station.state.registration import Registration
from station.state.reservations import Reservations
from station.state.sessions import Sessions
from station.state.tokens import Tokens
from station.state.variables import Variables

FLOATING = 0
"""The "EVSE" of an authorization whose EVSE is the one that is plugged in first."""


class Proof(msgspec.Struct, frozen=True):
    """The contract certificate behind an eMAID (C07). `valid`: the station itself has found it good.

    `certificate`: the chain in PEM, where the CSMS is to judge it because the station cannot (C07.FR.06).
    """

    valid: bool
    hash_data: tuple[OCSPRequestDataType, ...] = ()
    certificate: str | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is presented for: the context of its Authorize. `evse_ids`: those that its reader serves."""

    evse_id: int
    id_token: IdTokenType
    purpose: Literal["start", "stop"]
    via: Via
    at: Instant
    evse_ids: tuple[int, ...] = ()
    remote_start_id: int | None = None
    group_id_token: str | None = None
    proof: Proof | None = None

    @property
    def place(self) -> int | None:
        """The EVSE, if it is known which one is meant."""
        return self.evse_id or None


class States(msgspec.Struct, frozen=True):
    """What the block asks and changes."""

    tokens: Tokens
    local_list: LocalList
    sessions: Sessions
    connectors: Connectors
    reservations: Reservations
    registration: Registration
    variables: Variables


class World(msgspec.Struct, frozen=True):
    """How it reaches others. `keypad`: the station has a display, and digits typed at it come as KeyCode tokens."""

    csms: Csms
    facts: Facts
    jobs: Jobs
    vehicles: Vehicles
    keypad: bool = False
