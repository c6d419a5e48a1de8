"""What the station says to a driver, in the languages that it knows (C01.FR.08, C01.FR.09, C01.FR.12, C01.FR.13).

To add a language: a table below; a test sees that none lacks a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from station.ocpp.types import IdTokenInfoType

Text = Literal[
    "wait", "plug_in", "starts", "ends", "refused", "unknown", "expired", "no_credit", "elsewhere", "later", "busy",
    "reserved", "choose", "not_there", "lock",
]  # fmt: skip

ENGLISH: Final = "en"
WORDS: Final[Mapping[str, Mapping[Text, str]]] = {
    ENGLISH: {
        "wait": "One moment, please",
        "plug_in": "Welcome. Please plug in",
        "starts": "Welcome. Charging starts",
        "ends": "Charging ends. You may unplug",
        "refused": "Not accepted",
        "unknown": "Not known",
        "expired": "Expired",
        "no_credit": "There is no credit left",
        "elsewhere": "Not valid here",
        "later": "Not possible at this time",
        "busy": "Somebody else is charging here",
        "reserved": "Reserved for somebody else",
        "choose": "Stop which: {evses}? 0: all",
        "not_there": "Nobody is charging there",
        "lock": "The plug's lock does not move",
    },
    "de": {
        "wait": "Einen Moment, bitte",
        "plug_in": "Willkommen. Bitte einstecken",
        "starts": "Willkommen. Das Laden beginnt",
        "ends": "Das Laden endet. Sie können ausstecken",
        "refused": "Nicht angenommen",
        "unknown": "Nicht bekannt",
        "expired": "Abgelaufen",
        "no_credit": "Kein Guthaben mehr",
        "elsewhere": "Hier nicht gültig",
        "later": "Zur Zeit nicht möglich",
        "busy": "Hier lädt schon jemand",
        "reserved": "Für jemand anderen reserviert",
        "choose": "Welche beenden: {evses}? 0: alle",
        "not_there": "Dort lädt niemand",
        "lock": "Die Verriegelung bewegt sich nicht",
    },
    "fr": {
        "wait": "Un instant, s'il vous plaît",
        "plug_in": "Bienvenue. Branchez le câble",
        "starts": "Bienvenue. La charge commence",
        "ends": "La charge se termine. Vous pouvez débrancher",
        "refused": "Refusé",
        "unknown": "Inconnu",
        "expired": "Expiré",
        "no_credit": "Il n'y a plus de crédit",
        "elsewhere": "Non valable ici",
        "later": "Pas possible pour le moment",
        "busy": "Quelqu'un d'autre charge ici",
        "reserved": "Réservé pour quelqu'un d'autre",
        "choose": "Arrêter laquelle : {evses} ? 0 : toutes",
        "not_there": "Personne n'y charge",
        "lock": "Le verrou de la prise ne bouge pas",
    },
    "nl": {
        "wait": "Een moment alstublieft",
        "plug_in": "Welkom. Sluit de kabel aan",
        "starts": "Welkom. Het laden begint",
        "ends": "Het laden stopt. U kunt de kabel losmaken",
        "refused": "Niet geaccepteerd",
        "unknown": "Niet bekend",
        "expired": "Verlopen",
        "no_credit": "Er is geen tegoed meer",
        "elsewhere": "Hier niet geldig",
        "later": "Nu niet mogelijk",
        "busy": "Hier laadt al iemand",
        "reserved": "Gereserveerd voor iemand anders",
        "choose": "Welke stoppen: {evses}? 0: alle",
        "not_there": "Daar laadt niemand",
        "lock": "De vergrendeling beweegt niet",
    },
}

REFUSALS: Final[Mapping[str, Text]] = {
    "Unknown": "unknown",
    "Invalid": "unknown",
    "Expired": "expired",
    "NoCredit": "no_credit",
    "NotAllowedTypeEVSE": "elsewhere",
    "NotAtThisLocation": "elsewhere",
    "NotAtThisTime": "later",
    "ConcurrentTx": "busy",
}
"""By the status that the driver is refused with; any other is simply refused."""

SHOWABLE = frozenset({"ASCII", "UTF8"})
"""Formats of a personal message that a display of text can show."""


def language(info: IdTokenInfoType | None) -> str:
    """The first of the driver's languages that the station knows, else English. `de-AT` is German."""
    wanted = (info.language1, info.language2) if info is not None else ()
    known = (each.partition("-")[0].lower() for each in wanted if each is not None)
    return next((each for each in known if each in WORDS), ENGLISH)


def said(text: Text, info: IdTokenInfoType | None = None, **details: str) -> str:
    """A text in the driver's language, and below it what the CSMS has to say to him in person."""
    words = WORDS[language(info)][text].format(**details)
    personal = info.personal_message if info is not None else None
    if personal is None or personal.format not in SHOWABLE or not personal.content:
        return words
    return f"{words}\n{personal.content}"


def refusal(info: IdTokenInfoType, text: Text | None = None) -> str:
    """Why not; `text` where the status does not tell."""
    return said(text or REFUSALS.get(info.status, "refused"), info)
