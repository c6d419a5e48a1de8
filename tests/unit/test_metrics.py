"""`metrics:` of station.yaml: what a monitoring system reads follows the rules of OpenMetrics 1.0."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from hal.errors import NotFound
from station.commands.metrics import Family, Sample, families, text
from station.shell import metrics
from station.shell.metrics import CONTENT_TYPE, LONGEST_HEAD, MOST_CLIENTS, MetricsServer
from tests.unit.test_cli import STATUS

TOLD: dict[str, Any] = {
    **STATUS,
    "identity": 'CS"0\\1\n',
    "evses": [*STATUS["evses"], {"id": 2, "status": "Faulted", "faults": ["GroundFault"], "connectors": []}],
    "certificates": [
        {"role": "CSMSRootCertificate", "until": "2030-01-01T00:00:00Z"},
        {"role": "CSMSRootCertificate", "until": "2028-01-01T00:00:00Z"},
    ],
}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
SUFFIXES = {"counter": ("_total",), "info": ("_info",), "gauge": ("",), "stateset": ("",)}


def parse(given: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By the rules: families in one piece, their head first, names and suffixes as their type wants, EOF at the end."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    *lines, last, empty = given.split("\n")
    assert (last, empty) == ("# EOF", "")
    family, kind, seen = "", "", set[str]()
    for line in lines:
        if line.startswith("# "):
            what, name, value = line.removeprefix("# ").split(" ", 2)
            assert re.fullmatch(NAME, name)
            if what == "TYPE":
                assert name not in seen
                assert value in SUFFIXES
                family, kind = name, value
                seen.add(name)
            else:
                assert name == family
                assert what != "UNIT" or name.endswith(f"_{value}")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        labels = tuple(LABEL.findall(match[2] or ""))
        assert LABEL.sub("", match[2] or "") == ""
        assert match[1] in {family + suffix for suffix in SUFFIXES[kind]}
        assert kind != "stateset" or (family in dict(labels) and float(match[3]) in {0.0, 1.0})
        assert (match[1], labels) not in found
        found[match[1], labels] = float(match[3])
    return found


def test_what_the_station_does_is_told_in_figures() -> None:
    found = parse(text(families(TOLD, {"station": 7, "csms": 5})))

    def of(name: str, **labels: str) -> float | None:
        return found.get((name, tuple(labels.items())))

    state = "ocpp_station_evse_status"
    assert of("ocpp_station_link_up") == 0
    assert of("ocpp_station_accepted") == 1
    assert of("ocpp_station_uptime_seconds") == 93_784
    assert of("ocpp_station_undelivered_messages") == 3
    assert (of(state, evse="1", **{state: "Occupied"}), of(state, evse="2", **{state: "Occupied"})) == (1, 0)
    assert of("ocpp_station_evse_fault", evse="2", fault="GroundFault") == 1
    assert of("ocpp_station_evse_transaction_energy_watthours", evse="1") == 1234
    assert of("ocpp_station_evse_power_watts", evse="1") == 11_000
    assert of("ocpp_station_messages_total", by="csms") == 5
    assert of("ocpp_station_certificate_expiry_timestamp_seconds", role="CSMSRootCertificate") == 1_830_297_600
    assert (of("process_resident_memory_bytes") or 0) > 1_000_000


def test_what_is_not_known_is_left_out() -> None:
    """A power of zero would be a lie."""
    told = text(families({**TOLD, "evses": [{"id": 1, "status": "Available", "connectors": []}]}, {}))

    assert "power" not in told
    assert "fault" not in told
    parse(told)


def test_a_text_cannot_write_lines_of_its_own() -> None:
    told = text([Family("a", "info", "b", (Sample(1, {"c": 'x"} 1\n# EOF\n\\'}, "_info"),))])

    assert told.count("\n") == 4
    parse(told)


# --- the server


def serving(
    client: Callable[[int], Coroutine[Any, Any, Any]], figures: Callable[[], Awaitable[str]] | None = None
) -> Any:
    """What a client makes of it."""

    async def told() -> str:
        return "# EOF\n"

    async def scenario() -> Any:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        running = asyncio.ensure_future(MetricsServer("127.0.0.1", port, figures or told).run())
        try:
            while not running.done():
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.01)
                    continue
                writer.close()
                await asyncio.sleep(0)
                break
            return await asyncio.wait_for(client(port), 60)
        finally:
            running.cancel()

    return asyncio.run(scenario())


async def exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "request_line, status, body",
    [
        (b"GET /metrics HTTP/1.1", b"200 OK", b"# EOF\n"),
        (b"GET /metrics?x=1 HTTP/1.0", b"200 OK", b"# EOF\n"),
        (b"HEAD /metrics HTTP/1.1", b"200 OK", b""),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed", b"GET it\n"),
        (b"GET / HTTP/1.1", b"404 Not Found", b"/metrics is all there is\n"),
        (b"nonsense", b"404 Not Found", b"/metrics is all there is\n"),
    ],
)
def test_the_figures_are_all_there_is(request_line: bytes, status: bytes, body: bytes) -> None:
    answer = serving(lambda port: exchange(port, request_line + b"\r\nHost: x\r\n\r\n"))

    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 " + status
    assert content == body
    assert (CONTENT_TYPE.encode() in head) is (status == b"200 OK")


def test_figures_that_fail_cost_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> str:
        raise RuntimeError("no figures")

    async def twice(port: int) -> list[bytes]:
        return [await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(2)]

    answers = serving(twice, failing)

    assert all(answer.startswith(b"HTTP/1.1 500") for answer in answers)
    assert "no figures" not in str(answers)
    assert [record.message for record in caplog.records] == ["metrics.bug"] * 2


def test_who_sends_too_much_or_nothing_is_cut_and_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE_S", 0.2)

    async def client(port: int) -> list[bytes]:
        long = await exchange(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (4 * LONGEST_HEAD))
        silent = await exchange(port, b"GET /met")
        return [long, silent, await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")]

    long, silent, right = serving(client)

    assert (long, silent) == (b"", b"")
    assert right.startswith(b"HTTP/1.1 200")


def test_there_are_a_few_clients_at_most() -> None:
    async def client(port: int) -> bytes:
        open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CLIENTS)]
        refused = await exchange(port, b"")
        for _, writer in open_:
            writer.close()
        return refused

    assert serving(client) == b""


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = MetricsServer("127.0.0.1", other.getsockname()[1], lambda: asyncio.sleep(0, "# EOF\n"))

        with pytest.raises(NotFound, match="metrics"):
            asyncio.run(server.run())
