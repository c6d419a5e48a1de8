"""Who writes the log: the station. What a CSMS, a card or a vehicle says stands in a line of the station's."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hal.sim.ev import EvSpec
from hal.sim.world import Contract
from station.shell import logs
from tests.bench import Bench
from tests.scenarios.general.test_any_call import ACTIONS
from tests.scenarios.vehicles import Pki, secc_bench, trusts
from tests.unit.ocpp import documents

HOSTILE = "\x1b[2K\r\n2026-01-01T00:00:00.000Z error   a.lie\x00\u202e\u2028 password=hunter2-and-more"
SECRET = "hunter2-and-more"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What would be in the journal."""
    stream = io.StringIO()
    handler = logs.Keeping(stream, journal=False)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def hostile(message: str) -> Any:
    """A valid document with every free text replaced, by as much of it as fits."""
    given = documents.schemas(message)
    document = documents.document(message, "most")
    for place in documents.walk(given, document):
        value = documents.at(document, place.path)
        _, spec = given.named(place.spec)
        if isinstance(value, str) and "enum" not in spec and "format" not in spec:
            document = documents.changed(document, place.path, documents.to(HOSTILE[: spec.get("maxLength", 1000)]))
    return document


def judge(bench: Bench, stream: io.StringIO) -> None:
    """Every line begins with a time of the station's and can be shown."""
    written = stream.getvalue().splitlines()
    assert written
    for line in written:
        assert line[:4].isdigit(), line
        assert line[24:32].strip() in logs.LEVELS, line
        assert line.isprintable(), line
        assert " a.lie" not in line[24:40]
        assert SECRET not in line, line
    for entry in bench.station.security_log.entries():
        assert entry.info.isprintable(), entry


@pytest.mark.parametrize("action", ACTIONS)
def test_no_text_of_a_csms_writes_a_line_of_its_own(tmp_path: Path, lines: io.StringIO, action: str) -> None:
    bench = Bench(tmp_path)
    content = hostile(f"{action}Request")

    bench.csms.send(action, content, valid=False)
    bench.advance(seconds=30)
    logging.getLogger("station").warning("said", extra={"content": content, "action": HOSTILE})

    judge(bench, lines)


def test_no_card_and_no_vehicle_writes_a_line_of_its_own(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, lines: io.StringIO
) -> None:
    bench = secc_bench(tmp_path)
    pki = Pki(tmp_path_factory.mktemp("pki"))
    trusts(bench, pki.mo.root_pem)

    bench.world.plug_in(1, 1, EvSpec(evcc_id=HOSTILE), contract=Contract(HOSTILE, HOSTILE))
    bench.world.present(1, Contract("DE8AA1A2B3C4D5\n\x1b[2K", pki.contract()))
    bench.settle()
    bench.evse(2).present_token(HOSTILE)
    bench.advance(minutes=2)
    logging.getLogger("station").warning("said", extra={"evcc": HOSTILE})

    judge(bench, lines)
