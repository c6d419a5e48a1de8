"""Block B, fourth part: where the CSMS is and how to get in: connection profiles, their order, the password.

SetNetworkProfile and NetworkConfigurationPriority prepare the next start (B09, B10, A05), BasicAuthPassword acts at
once (A01). The dialling itself, with its attempts and fallbacks, is the link's: it asks `state/network.py`.
Invariant: nothing is accepted here that would leave the station without a way to a CSMS it may talk to.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from station.block import Block, Guards, Reactions, Routes, guard, on, route
from station.facts import Facts, LinkRestored, SecurityEventOccurred, VariableChanged
from station.now import Now
from station.ocpp.messages import SetNetworkProfileRequest, SetNetworkProfileResponse
from station.ocpp.types import NetworkConnectionProfileType
from station.ports import Csms, Station
from station.refusal import Refusal
from station.state.network import PASSWORD, PRIORITY, Network, NetworkProfile
from station.state.variables import Variables

SCHEMES = {1: "ws", 2: "wss", 3: "wss"}
"""The scheme of ocppCsmsUrl by security profile (A00)."""

LONGEST_TIMEOUT_S = 3600
"""As in the station's file: who waits longer for an answer has no connection to speak of."""

NEEDS = {2: ("CSMSRootCertificate",), 3: ("CSMSRootCertificate", "ChargingStationCertificate")}
"""Certificates that must be there before a profile of this level may be used (A05.FR.02, A05.FR.03)."""

NO_DOWNGRADE = Refusal("NoSecurityDowngrade", "less secure than the connection in use")
NOT_STORED = Refusal("OutOfStorage", "the disk takes no writes")
NOT_SEALED = Refusal("InternalError", "the key that seals passwords is away: its TPM or token does not answer")


class NetworkProfiles(Block):
    """Block B: network connection profiles.

    `installed` tells whether a valid certificate of a kind is there, `disk_fails` whether nothing can be stored now.
    """

    def __init__(  # noqa: PLR0913 - the wiring of a block, named at the one call
        self,
        *,
        network: Network,
        variables: Variables,
        csms: Csms,
        station: Station,
        facts: Facts,
        installed: Callable[[str, Now], bool],
        disk_fails: Callable[[], bool],
    ) -> None:
        self._network = network
        self._variables = variables
        self._csms = csms
        self._station = station
        self._facts = facts
        self._installed = installed
        self._disk_fails = disk_fails

    def routes(self) -> Routes:
        """B09."""
        return [route(SetNetworkProfileRequest, self.set_profile)]

    def guards(self) -> Guards:
        """B10.FR.02, A05.FR.02, A05.FR.03, A05.FR.09, A05.FR.10; A01."""
        return [guard(*PRIORITY, self.check_priority), guard(*PASSWORD, self.check_password)]

    def reactions(self) -> Reactions:
        """The link, and the password."""
        return [on(LinkRestored, self.connected), on(VariableChanged, self.changed)]

    # --- SetNetworkProfile

    def set_profile(self, request: SetNetworkProfileRequest, now: Now) -> SetNetworkProfileResponse:
        """B09: checked and kept for the next start, even if its slot is in use."""
        del now
        slot, data = request.configuration_slot, request.connection_data
        refusal = self._flaw(slot, data)
        if refusal is not None:
            return SetNetworkProfileResponse(status="Rejected", status_info=refusal.info)
        if self._disk_fails():  # B09.FR.03
            return SetNetworkProfileResponse(status="Failed", status_info=NOT_STORED.info)
        self._network.store(
            NetworkProfile(
                slot=slot,
                url=data.ocpp_csms_url,
                security_profile=data.security_profile,
                message_timeout_s=float(data.message_timeout),
                interface=data.ocpp_interface,
            )
        )
        told = f"network profile {slot}: {data.ocpp_csms_url}, security profile {data.security_profile}"
        self._facts.emit(_reconfigured(told))
        return SetNetworkProfileResponse(status="Accepted")

    def _flaw(self, slot: int, data: NetworkConnectionProfileType) -> Refusal | None:
        if str(slot) not in self._slots():  # B09.FR.05
            return Refusal("InvalidConfSlot", f"there are the slots {', '.join(self._slots())}")
        wrong = profile_flaw(data)
        if wrong is not None:  # B09.FR.02
            return Refusal("InvalidNetworkConf", wrong)
        if not self._network.allows(data.security_profile):  # B09.FR.04, B09.FR.31
            return NO_DOWNGRADE
        return None

    def _slots(self) -> tuple[str, ...]:
        return self._variables.allowed(*PRIORITY)

    # --- NetworkConfigurationPriority

    def check_priority(self, value: str, now: Now) -> Refusal | None:
        """Each slot must hold a profile that may be used and has its certificates."""
        for slot in value.split(","):
            profile = self._network.stored(int(slot))
            if profile is None:  # B10.FR.02
                return Refusal("InvalidNetworkConf", f"slot {slot} is empty")
            if not self._network.allows(profile.security_profile):  # A05.FR.09, A05.FR.10
                return NO_DOWNGRADE
            if profile.security_profile > self._network.level:
                missing = [kind for kind in NEEDS[profile.security_profile] if not self._installed(kind, now)]
                if missing:  # A05.FR.02, A05.FR.03
                    return Refusal("InvalidCertificate", f"no {missing[0]} that is valid is installed")
        return None

    # --- the password

    def check_password(self, value: str, now: Now) -> Refusal | None:
        """Length is the device model's to check; what a header cannot carry is refused (A00.FR.205).

        So is one that nobody could keep: then the old one stays in use.
        """
        del now
        if not value.isprintable():
            return Refusal("InvalidValue", "it contains control characters")
        return None if self._network.can_seal() else NOT_SEALED

    def changed(self, fact: VariableChanged, now: Now) -> None:
        """A new password is used at once (A01); the former one stays until the CSMS has let us in with it."""
        del now
        name = (fact.component, fact.variable)
        if name == PASSWORD:
            self._network.password_changed()
            self._facts.emit(_reconfigured("BasicAuthPassword"))  # A01.FR.11, A01.FR.12: never its content
            if self._network.level < 3:  # noqa: PLR2004 - profile 3 uses no password
                self._station.reconnect(after="reply")
        elif name == PRIORITY and fact.by == "csms":
            self._facts.emit(_reconfigured(f"NetworkConfigurationPriority {fact.value}"))

    # --- the link

    def connected(self, fact: LinkRestored, now: Now) -> None:
        """ActiveNetworkProfile and SecurityProfile are what really stands; A05.FR.06 after an upgrade."""
        del now
        if self._network.connected(fact.profile_slot, fact.security_profile):
            self._facts.emit(_reconfigured(f"security profile {fact.security_profile}"))
        if fact.credentials == 0 and fact.security_profile < 3:  # noqa: PLR2004 - profile 3 uses no password
            self._network.password_accepted()
        self._variables.set("OCPPCommCtrlr", "ActiveNetworkProfile", str(fact.profile_slot))
        self._variables.set("SecurityCtrlr", "SecurityProfile", str(fact.security_profile))
        timeout_s = self._network.message_timeout_s(fact.profile_slot)
        if timeout_s is not None:
            self._variables.set("OCPPCommCtrlr", "MessageTimeout", str(round(timeout_s)), "Default")
            self._csms.answer_within(timeout_s)


def profile_flaw(data: NetworkConnectionProfileType) -> str | None:
    """Why a profile could never connect this station; None if it might (B09.FR.02)."""
    scheme = SCHEMES.get(data.security_profile)
    if scheme is None:
        return f"there is no security profile {data.security_profile}"
    if data.ocpp_transport != "JSON":
        return "only the JSON transport is built in"
    if not 0 < data.message_timeout <= LONGEST_TIMEOUT_S:
        return f"messageTimeout must be of 1 to {LONGEST_TIMEOUT_S} s"
    if data.apn is not None or data.vpn is not None:
        return "the station does not set up mobile networks or VPNs"
    return _url_flaw(data.ocpp_csms_url, scheme, data.security_profile)


def _url_flaw(url: str, scheme: str, level: int) -> str | None:
    if not (url.isascii() and url.isprintable()) or " " in url:  # a parser may pass over what a log or header would not
        return "the URL must be ASCII without spaces or control characters"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        return f"the URL is wrong: {error}"
    if parts.scheme != scheme or not host or port == 0:
        return f"security profile {level} needs a URL like {scheme}://host/path"
    if parts.username is not None or parts.fragment:
        return "the URL must hold neither user name, password nor a '#'"
    return None


def _reconfigured(what: str) -> SecurityEventOccurred:
    return SecurityEventOccurred(type="ReconfigurationOfSecurityParameters", tech_info=what)
