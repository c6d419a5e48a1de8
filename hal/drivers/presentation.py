"""When a card that a reader sees is a new presentation, and when it is still the old one. Pure."""

from __future__ import annotations

from hal.api import Token


class Debounce:
    """One presentation, one token: the same card within `seconds` of its last sight is still the same presentation."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._token: Token | None = None
        self._at = 0.0

    def is_news(self, token: Token, now: float) -> bool:
        """Whether this is a new presentation. Each look prolongs the old one."""
        news = self._token is None or not same(self._token, token) or now - self._at > self._seconds
        if news:
            self._token = token
        self._at = now
        return news


def same(before: Token, now: Token) -> bool:
    """A card with a random UID may tell another one at each look: two in a row are one presentation."""
    return before == now or (before.random_uid and now.random_uid)
