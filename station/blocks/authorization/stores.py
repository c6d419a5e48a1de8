"""What is known of tokens at the station itself: the local list and the cache, as the variables allow (C10-C14)."""

from __future__ import annotations

from collections.abc import Callable

from station.blocks.authorization.decision import Known, Rules
from station.blocks.authorization.wish import States
from station.facts import IdTokenInfoReceived
from station.now import Now
from station.ocpp.messages import ClearCacheRequest, ClearCacheResponse
from station.ocpp.types import IdTokenInfoType, IdTokenType
from station.refusal import Refusal
from station.state.tokens import CacheRules


class Stores:
    """The two stores of one station. `disk_fails` tells whether nothing can be stored or cleared for good now."""

    def __init__(self, states: States, disk_fails: Callable[[], bool]) -> None:
        self._tokens = states.tokens
        self._list = states.local_list
        self._variables = states.variables
        self._disk_fails = disk_fails

    def known(self, id_token: IdTokenType, now: Now) -> Known:
        """What they say of a token."""
        listed = self._list.find(id_token) if self._variables.boolean("LocalAuthListCtrlr", "Enabled") else None
        return Known(listed, self._tokens.cached(id_token, self._cache_rules(), now))

    def rules(self) -> Rules:
        """The variables that decide, as they are now."""
        ask = self._variables.boolean
        return Rules(
            enabled=ask("AuthCtrlr", "Enabled"),
            pre_authorize=ask("AuthCtrlr", "LocalPreAuthorize"),
            authorize_offline=ask("AuthCtrlr", "LocalAuthorizeOffline"),
            offline_unknown=ask("AuthCtrlr", "OfflineTxForUnknownIdEnabled"),
            remote_disabled=ask("AuthCtrlr", "DisableRemoteAuthorization"),
            remote_starts=ask("AuthCtrlr", "AuthorizeRemoteStart"),
            cache_final=ask("AuthCacheCtrlr", "DisablePostAuthorize"),
            list_final=ask("LocalAuthListCtrlr", "DisablePostAuthorize"),
            list_expires=ask("LocalAuthListCtrlr", "SupportsExpiryDateTime"),
        )

    def _cache_rules(self) -> CacheRules:
        return CacheRules(
            enabled=self._variables.boolean("AuthCacheCtrlr", "Enabled"),
            lifetime_s=self._variables.integer("AuthCacheCtrlr", "LifeTime"),
        )

    # --- the cache

    def remember(self, id_token: IdTokenType, info: IdTokenInfoType, now: Now) -> None:
        """C10.FR.04."""
        self._tokens.remember(id_token, info, self._cache_rules(), now)

    def learned(self, fact: IdTokenInfoReceived, now: Now) -> None:
        """C10.FR.05, C12.FR.06: also of a transaction that is over."""
        self.remember(fact.id_token, fact.info, now)

    def clear(self, request: ClearCacheRequest, now: Now) -> ClearCacheResponse:
        """C11.FR.01 to C11.FR.05."""
        del request, now
        refusal = None
        if not self._cache_rules().enabled:
            refusal = Refusal("NotEnabled")
        elif self._disk_fails():
            refusal = Refusal("InternalError", "the disk takes no change: after a restart the cache would be back")
        if refusal is not None:
            return ClearCacheResponse(status="Rejected", status_info=refusal.info)
        self._tokens.clear_cache()
        return ClearCacheResponse(status="Accepted")
