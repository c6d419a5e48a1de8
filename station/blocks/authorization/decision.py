"""Whether a token is accepted at once, refused at once, or the CSMS is asked. Pure: everything it needs is an argument.

The order is local list, cache, CSMS (C12-C15). A token that is in a store is not "unknown", whatever is said of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from station.ocpp.types import IdTokenInfoType

ACCEPTED = IdTokenInfoType(status="Accepted")


class Rules(msgspec.Struct, frozen=True):
    """The variables that decide. Names as in AuthCtrlr, AuthCacheCtrlr and LocalAuthListCtrlr."""

    pre_authorize: bool
    """AuthCtrlr.LocalPreAuthorize: a token known as Accepted charges at once, online too."""
    authorize_offline: bool
    """AuthCtrlr.LocalAuthorizeOffline."""
    offline_unknown: bool
    """AuthCtrlr.OfflineTxForUnknownIdEnabled."""
    remote_disabled: bool
    """AuthCtrlr.DisableRemoteAuthorization: nobody is asked."""
    cache_final: bool = False
    """AuthCacheCtrlr.DisablePostAuthorize: what the cache refuses is not asked again."""
    list_final: bool = False
    """LocalAuthListCtrlr.DisablePostAuthorize."""


class Accept(msgspec.Struct, frozen=True):
    """It may charge. `unknown`: accepted offline without being known; the CSMS judges it later (C15)."""

    info: IdTokenInfoType
    unknown: bool = False


class AskCsms(msgspec.Struct, frozen=True):
    """The CSMS decides."""


class Refuse(msgspec.Struct, frozen=True):
    """It may not charge. `status` as in AuthorizationStatusEnumType."""

    status: str


Decision = Accept | AskCsms | Refuse
Store = Literal["list", "cache"]


def decide(
    rules: Rules, *, online: bool, listed: IdTokenInfoType | None = None, cached: IdTokenInfoType | None = None
) -> Decision:
    """What becomes of a token that the list and the cache describe so.

    The list wins over the cache (C13.FR.01, C14.FR.01). Expired entries are the caller's business: of the cache they
    are None, of a list whose expiry is checked they come with status Expired (C13.FR.05, C14.FR.05).
    """
    known = listed if listed is not None else cached
    final = rules.list_final if listed is not None else rules.cache_final
    return _online(rules, known, final=final) if online else _offline(rules, known)


def _online(rules: Rules, known: IdTokenInfoType | None, *, final: bool) -> Decision:
    if known is not None and rules.pre_authorize:
        if known.status == "Accepted":  # C12.FR.02, C14.FR.02
            return Accept(known)
        if final:  # C10.FR.03, C12.FR.05 and C14.FR.03 are switched off by DisablePostAuthorize
            return Refuse(known.status)
    return Refuse("Unknown") if rules.remote_disabled else AskCsms()


def _offline(rules: Rules, known: IdTokenInfoType | None) -> Decision:
    if known is not None and rules.authorize_offline:
        return Accept(known) if known.status == "Accepted" else Refuse(known.status)  # C13.FR.02
    if known is None and rules.offline_unknown:  # C15.FR.08
        return Accept(ACCEPTED, unknown=True)
    return Refuse("Unknown")
