"""B07, B08: the device model told in reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device_model.build import Equipment
from device_model.catalogue import VariableSpec
from device_model.values import DataType
from hal.api import Fault
from station.blocks.provisioning import reports
from tests.bench import Bench
from tests.scenarios.variables import base_report, entries, put

Entry = dict[str, Any]


def names(found: list[Entry]) -> set[tuple[str, str, int | None]]:
    return {(e["component"]["name"], e["variable"]["name"], e["component"].get("evse", {}).get("id")) for e in found}


def custom(bench: Bench, request_id: int = 7, **more: Any) -> list[Entry]:
    """GetReport, accepted; its entries."""
    answer = bench.csms.call("GetReport", {"requestId": request_id, **more})
    assert answer["status"] == "Accepted", answer
    return entries(bench, request_id)


def wanted(component: str, variable: str | None = None, *, evse: int | None = None, instance: str = "") -> Entry:
    """An element of componentVariable."""
    element: Entry = {"component": {"name": component}}
    if evse is not None:
        element["component"]["evse"] = {"id": evse}
    if variable is not None:
        element["variable"] = {"name": variable} | ({"instance": instance} if instance else {})
    return element


class Work:
    """How many entries were rendered for each input that the station was given."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rendered = 0
        self.most = 0
        render, step = reports._Shown.data, bench.station.engine.step

        def counted(shown: Any, entry: Any) -> Any:
            self.rendered += 1
            self.most = max(self.most, self.rendered)
            return render(shown, entry)

        def begun(given: Any, now: Any) -> Any:
            self.rendered = 0
            return step(given, now)

        monkeypatch.setattr(reports._Shown, "data", counted)
        monkeypatch.setattr(bench.station.engine, "step", begun)


def test_5000_variables_are_told_while_somebody_charges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, each made when the one before was answered; no event of the session waits for more than one."""
    monkeypatch.setattr("tests.schema.validate", lambda *_: None)  # smaller reports are looked at, and it takes long
    cells = tuple(VariableSpec(f"V{n}", DataType.DECIMAL, live=True) for n in range(5_000))
    variables = {"SampledDataCtrlr.TxUpdatedInterval": "10"}
    bench = Bench(tmp_path, variables=variables, layout={"equipment": (Equipment("Pack", variables=cells),)})
    bench.evse(1).plug_in()
    bench.evse(1).present_token("04AABBCC")
    bench.advance(minutes=1)
    bench.csms.forget()
    work = Work(bench, monkeypatch)

    bench.csms.hold()
    bench.csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    while (pages := bench.csms.received("NotifyReport"))[-1]["tbc"]:
        bench.advance(seconds=5)
        bench.csms.release(once=True)
        assert len(bench.csms.received("NotifyReport")) <= len(pages) + 1
    bench.csms.release()

    assert len(entries(bench)) == len(bench.station.variables.model) > 5_000
    assert all(len(json.dumps(page, separators=(",", ":"))) < 16_000 for page in pages)
    told = bench.csms.actions()
    assert "NotifyReport NotifyReport NotifyReport" not in " ".join(told)  # every 10 s an event, every 5 s a page
    assert told.count("TransactionEvent/Updated") > len(pages) / 2
    assert bench.evse(1).charging
    assert 0 < work.most <= 2 * reports.PAGE_ITEMS + 1


@pytest.mark.req("B07.FR.01", "B07.FR.03", "B07.FR.04", "B07.FR.08", "B07.FR.10", "B07.FR.12")
def test_the_full_inventory_comes_in_numbered_pages(tmp_path: Path) -> None:
    """A station with 12 EVSEs: many pages, each below 16 kB, the last without tbc; every variable once."""
    bench = Bench(tmp_path, evses=12)

    found = base_report(bench, "FullInventory")

    pages = bench.csms.received("NotifyReport")
    assert [page["seqNo"] for page in pages] == list(range(len(pages)))
    assert [page.get("tbc", False) for page in pages] == [True] * (len(pages) - 1) + [False]
    assert {page["requestId"] for page in pages} == {1}
    assert len(found) == len(bench.station.variables.model)
    assert all("variableCharacteristics" in entry for entry in found)


@pytest.mark.req("B07.FR.07", "B07.FR.12")
def test_the_configuration_inventory_holds_what_can_be_set(bench: Bench) -> None:
    found = base_report(bench, "ConfigurationInventory")

    assert {attribute["mutability"] for entry in found for attribute in entry["variableAttribute"]} == {
        "ReadWrite",
        "WriteOnly",
    }
    assert ("OCPPCommCtrlr", "OfflineThreshold", None) in names(found)
    assert ("OCPPCommCtrlr", "MessageTimeout", None) not in names(found)


@pytest.mark.req("B07.FR.03")
def test_a_password_is_in_no_report(tmp_path: Path) -> None:
    """The variable is listed, its value is not."""
    password = "correct-horse-battery"
    bench = Bench(tmp_path, variables={"SecurityCtrlr.BasicAuthPassword": password})

    found = base_report(bench, "FullInventory")

    (entry,) = [each for each in found if each["variable"]["name"] == "BasicAuthPassword"]
    assert "value" not in entry["variableAttribute"][0]
    assert password not in str(bench.csms.log)


@pytest.mark.req("B07.FR.08", "B07.FR.11")
def test_unset_attributes_are_reported_too(bench: Bench) -> None:
    """As the empty text."""
    found = base_report(bench, "FullInventory")

    (entry,) = [each for each in found if each["variable"]["name"] == "MasterPassGroupId"]
    assert entry["variableAttribute"] == [
        {"type": "Actual", "value": "", "mutability": "ReadWrite", "persistent": True, "constant": False}
    ]


@pytest.mark.req("B07.FR.09")
def test_the_summary_tells_availability_and_what_is_wrong(bench: Bench) -> None:
    found = base_report(bench, "SummaryInventory")

    assert names(found) == {
        ("ChargingStation", "AvailabilityState", None),
        ("EVSE", "AvailabilityState", 1),
        ("EVSE", "AvailabilityState", 2),
        ("Connector", "AvailabilityState", 1),
        ("Connector", "AvailabilityState", 2),
    }


def test_the_answer_comes_before_the_first_page(bench: Bench) -> None:
    """FR.05 of part 4: the CSMS must know the request was accepted."""
    bench.csms.call("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"})

    answered = next(i for i, frame in enumerate(bench.csms.log) if frame.action == "GetBaseReport" and i)
    told = next(i for i, frame in enumerate(bench.csms.log) if frame.action == "NotifyReport")
    assert answered < told


@pytest.mark.req("B07.FR.13", "B08.FR.16")
def test_a_fifth_report_at_once_is_rejected(bench: Bench) -> None:
    """Four wait for a CSMS that does not answer; when it does, all is free again."""
    bench.csms.hold()
    ask = {"reportBase": "FullInventory"}
    statuses = [bench.csms.call("GetBaseReport", {"requestId": n, **ask})["status"] for n in range(1, 6)]
    assert statuses == ["Accepted"] * 4 + ["Rejected"]
    assert bench.csms.call("GetReport", {"requestId": 6})["status"] == "Rejected"

    bench.csms.release()

    assert bench.csms.call("GetBaseReport", {"requestId": 7, **ask})["status"] == "Accepted"


@pytest.mark.req("B07.FR.13")
def test_a_lost_connection_ends_its_reports(bench: Bench) -> None:
    """Nobody waits for the rest; the next connection may ask again."""
    bench.csms.hold()
    for number in range(1, 5):
        bench.csms.call("GetBaseReport", {"requestId": number, "reportBase": "FullInventory"})

    bench.csms.disconnect()
    bench.csms.release()
    bench.csms.connect()
    bench.csms.forget()

    assert len(base_report(bench, "FullInventory", 9)) > 100


@pytest.mark.req("B08.FR.01", "B08.FR.03", "B08.FR.04", "B08.FR.11", "B08.FR.12", "B08.FR.14")
def test_a_custom_report_holds_what_was_named(bench: Bench) -> None:
    found = custom(bench, componentVariable=[wanted("EVSE", "AvailabilityState", evse=1)])

    (page,) = bench.csms.received("NotifyReport")
    assert (page["requestId"], page["seqNo"], page.get("tbc", False)) == (7, 0, False)
    assert names(found) == {("EVSE", "AvailabilityState", 1)}
    assert found[0]["variableCharacteristics"]["dataType"] == "OptionList"


@pytest.mark.req("B08.FR.20", "B08.FR.21", "B08.FR.22", "B08.FR.23", "B08.FR.25")
@pytest.mark.parametrize(
    "element, count",
    [
        (wanted("EVSE", "AvailabilityState"), 2),
        (wanted("DeviceDataCtrlr", "ItemsPerMessage"), 3),
        (wanted("DeviceDataCtrlr", "ItemsPerMessage", instance="GetReport"), 1),
        (wanted("Connector", "AvailabilityState", evse=2), 2),
    ],
)
def test_what_is_left_out_stands_for_all(tmp_path: Path, element: Entry, count: int) -> None:
    """EVSEs, instances and connectors that are not named are all meant."""
    bench = Bench(tmp_path, connectors=2)

    assert len(custom(bench, componentVariable=[element])) == count


@pytest.mark.req("B08.FR.24", "B08.FR.25")
def test_an_instance_of_a_component_is_the_one_that_was_named(tmp_path: Path) -> None:
    """Two readers: one by its name, both without."""
    bench = Bench(tmp_path, layout={"readers": ("front", "rear")})
    rear = {"component": {"name": "TokenReader", "instance": "rear"}, "variable": {"name": "Problem"}}

    (entry,) = custom(bench, componentVariable=[rear])
    assert entry["component"] == {"name": "TokenReader", "instance": "rear"}

    both = custom(bench, 8, componentVariable=[wanted("TokenReader", "Problem")])
    assert [each["component"]["instance"] for each in both] == ["front", "rear"]


@pytest.mark.req("B08.FR.20")
def test_a_component_alone_means_all_its_variables(bench: Bench) -> None:
    found = custom(bench, componentVariable=[wanted("TxCtrlr")])

    assert ("TxCtrlr", "TxStartPoint", None) in names(found)
    assert {each["component"]["name"] for each in found} == {"TxCtrlr"}


@pytest.mark.req("B07.FR.09", "B08.FR.05", "B08.FR.08", "B08.FR.10", "B08.FR.15")
def test_criteria_narrow_the_choice(bench: Bench) -> None:
    """EVSE 1 is Available; it has no problem until it is broken."""
    ask: Entry = {"componentVariable": [wanted("EVSE", "AvailabilityState", evse=1)]}
    assert len(custom(bench, componentCriteria=["Available"], **ask)) == 1
    answer = bench.csms.call("GetReport", {"requestId": 8, "componentCriteria": ["Problem"], **ask})
    assert answer["status"] == "EmptyResultSet"

    bench.evse(1).fault(Fault.RCD)

    assert len(custom(bench, 9, componentCriteria=["Problem"], **ask)) == 1
    summary = base_report(bench, "SummaryInventory", 10)
    assert {("EVSE", "Problem", 1), ("Connector", "Problem", 1)} <= names(summary)
    assert ("EVSE", "Problem", 2) not in names(summary)


@pytest.mark.req("B08.FR.15")
def test_nothing_found_is_an_empty_result(bench: Bench) -> None:
    answer = bench.csms.call("GetReport", {"requestId": 8, "componentVariable": [wanted("NoSuchCtrlr")]})

    assert answer["status"] == "EmptyResultSet"
    assert bench.csms.received("NotifyReport") == []


@pytest.mark.req("B08.FR.17")
def test_too_many_elements_are_refused_as_a_whole(bench: Bench) -> None:
    elements = [wanted("TxCtrlr", "TxStartPoint")] * 101

    error = bench.csms.refused("GetReport", {"requestId": 8, "componentVariable": elements})

    assert error.code == "OccurrenceConstraintViolation"


def test_values_are_those_of_the_moment_a_page_is_made(bench: Bench) -> None:
    """A report that takes long does not tell what is long past."""
    bench.csms.hold()
    bench.csms.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    put(bench, "TxCtrlr.EVConnectionTimeOut", "99")
    bench.csms.release()

    (entry,) = [each for each in entries(bench) if each["variable"]["name"] == "EVConnectionTimeOut"]
    assert entry["variableAttribute"][0]["value"] == "99"
