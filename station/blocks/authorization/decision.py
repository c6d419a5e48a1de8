"""Whether a token is accepted at once, refused at once, or the CSMS is asked. Pure: everything it needs is an argument.

The order is local list, cache, CSMS (C12-C15); of a contract certificate the CSMS is asked whenever it can be (C07).
A token that is in a store is not "unknown", whatever is said of it. The stores know it as `Known`; the variables that
decide are `Rules`; where and how it was presented is the `Moment`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from station.facts import Via
from station.ocpp.types import IdTokenInfoType, IdTokenType

ACCEPTED = IdTokenInfoType(status="Accepted")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The variables that decide."""

    enabled: bool = True
    """AuthCtrlr.Enabled: without it a token is taken as it is."""
    pre_authorize: bool = False
    """AuthCtrlr.LocalPreAuthorize: a token known as Accepted charges at once, online too."""
    authorize_offline: bool = False
    """AuthCtrlr.LocalAuthorizeOffline."""
    offline_unknown: bool = False
    """AuthCtrlr.OfflineTxForUnknownIdEnabled."""
    remote_disabled: bool = False
    """AuthCtrlr.DisableRemoteAuthorization: nobody is asked, the stores alone decide."""
    remote_starts: bool = False
    """AuthCtrlr.AuthorizeRemoteStart: the token of a remote start is judged like one presented here."""
    cache_final: bool = False
    """AuthCacheCtrlr.DisablePostAuthorize: what the cache refuses is not asked again."""
    list_final: bool = False
    """LocalAuthListCtrlr.DisablePostAuthorize."""
    list_expires: bool = True
    """LocalAuthListCtrlr.SupportsExpiryDateTime: cacheExpiryDateTime counts in the list, too."""


class Known(msgspec.Struct, frozen=True):
    """What the stores say of a token; None where it is in none. The cache never tells what has expired in it."""

    listed: IdTokenInfoType | None = None
    cached: IdTokenInfoType | None = None


class Moment(msgspec.Struct, frozen=True):
    """The circumstances: whether the CSMS can be asked, the time by the station's clock, how the token came."""

    online: bool
    at: datetime
    via: Via = "local"
    proof: Literal["none", "valid", "unproven"] = "none"
    """What the station has found of the contract certificate that came with the token, if one did (C07)."""


class Accept(msgspec.Struct, frozen=True):
    """It may charge. `unknown`: accepted offline without being known; the CSMS judges it later (C15)."""

    info: IdTokenInfoType
    unknown: bool = False


class AskCsms(msgspec.Struct, frozen=True):
    """The CSMS decides."""


class Refuse(msgspec.Struct, frozen=True):
    """It may not charge; the status is one of AuthorizationStatusEnumType."""

    info: IdTokenInfoType


Decision = Accept | AskCsms | Refuse
UNKNOWN = IdTokenInfoType(status="Unknown")
INVALID = IdTokenInfoType(status="Invalid")


def decide(id_token: IdTokenType, known: Known, moment: Moment, rules: Rules) -> Decision:
    """What becomes of a token that is presented, or comes with a remote start."""
    if not rules.enabled or needs_no_check(id_token, moment, rules):
        return Accept(ACCEPTED)
    if moment.proof != "none":
        if moment.online and not rules.remote_disabled:  # C07.FR.01
            return AskCsms()
        if moment.proof == "unproven":  # C07.FR.07, C07.FR.08
            return Refuse(INVALID)
    info = what_counts(known, moment, rules)
    return _online(known, info, rules) if moment.online else _offline(info, rules)


def needs_no_check(id_token: IdTokenType, moment: Moment, rules: Rules) -> bool:
    """The start button, and what the CSMS made itself (C02.FR.01, C03.FR.01, C05.FR.01, F01.FR.02)."""
    if moment.via == "remote" and (id_token.type == "Central" or not rules.remote_starts):
        return True
    return id_token.type == "NoAuthorization"


def what_counts(known: Known, moment: Moment, rules: Rules) -> IdTokenInfoType | None:
    """The list wins over the cache (C13.FR.01, C14.FR.01); its entries expire if that is supported (C13.FR.05)."""
    if known.listed is None:
        return known.cached
    if _expired(known.listed, moment, rules):
        return msgspec.structs.replace(known.listed, status="Expired")
    return known.listed


def _expired(listed: IdTokenInfoType, moment: Moment, rules: Rules) -> bool:
    until = listed.cache_expiry_date_time
    return rules.list_expires and until is not None and until <= moment.at


def _online(known: Known, info: IdTokenInfoType | None, rules: Rules) -> Decision:
    if info is not None and (rules.pre_authorize or rules.remote_disabled):
        if info.status == "Accepted":  # C12.FR.02, C14.FR.02, C14.FR.04
            return Accept(info)
        if rules.remote_disabled or _final(known, rules):
            return Refuse(info)
    return Refuse(UNKNOWN) if rules.remote_disabled else AskCsms()


def _final(known: Known, rules: Rules) -> bool:
    """DisablePostAuthorize switches off C10.FR.03, C12.FR.05, C14.FR.03; what has expired is asked all the same."""
    if known.listed is None:
        return rules.cache_final
    return rules.list_final and known.listed.status != "Accepted"


def _offline(info: IdTokenInfoType | None, rules: Rules) -> Decision:
    if info is not None and rules.authorize_offline:
        return Accept(info) if info.status == "Accepted" else Refuse(info)  # C13.FR.02, C13.FR.04 to C13.FR.06
    if info is None and rules.offline_unknown:  # C15.FR.08
        return Accept(ACCEPTED, unknown=True)
    return Refuse(UNKNOWN)
