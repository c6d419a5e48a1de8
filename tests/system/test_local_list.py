"""A long local list, a card in it, and a display: the whole process with a CSMS over a real socket (C14, D01)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = pytest.mark.system

MORE = '- {component: AuthCtrlr, variable: LocalPreAuthorize, value: "true"}\n'
ITEMS = 1000
MESSAGES = 3


def entries(message: int) -> list[dict[str, Any]]:
    """The entries of one message, as many as one may have."""
    info = {"status": "Accepted", "language1": "de"}
    return [
        {"idToken": {"idToken": f"04{message * ITEMS + number:012X}", "type": "ISO14443"}, "idTokenInfo": info}
        for number in range(ITEMS)
    ]


@pytest.mark.req("D01.FR.02", "D01.FR.15", "D01.FR.16", "C14.FR.02", "C01.FR.08")
def test_a_list_in_several_messages_and_a_card_of_it(tmp_path: Path) -> None:
    """Each message is longer than one step writes; the card is taken unasked, and the driver reads German."""
    with LiveCsms(password=PASSWORD) as csms, Agent(tmp_path, csms.url, more=MORE) as agent:
        csms.wait_for("BootNotification")
        for message in range(MESSAGES):
            update = {"updateType": "Differential" if message else "Full", "versionNumber": message + 1}
            answer = csms.call("SendLocalList", {**update, "localAuthorizationList": entries(message)})
            assert answer == {"status": "Accepted"}
        assert csms.call("GetLocalListVersion") == {"versionNumber": MESSAGES}

        agent.command("plug_in", evse=1)
        agent.command("swipe", id_token=f"04{MESSAGES * ITEMS - 1:012X}", type="ISO14443", evses=[1])
        csms.wait_for("TransactionEvent/Started")
        csms.until(lambda: agent.command("display", evse=1)["text"], "a text")
        shown = agent.command("display", evse=1)["text"]

    assert shown == "Willkommen. Das Laden beginnt"
    assert csms.script.received("Authorize") == []
