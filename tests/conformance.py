"""Writes docs/conformance.md: which requirement is satisfied by which test, what does not apply and why, what is open.

    python -m tests.conformance            write the page
    python -m tests.conformance --check    exit 1 if the page is stale

Only collected tests count that are not marked skip or xfail; that they pass is the business of the run itself, and in
CI a marked test may not be skipped (tests/conftest.py).
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.indexes import Case, Requirement, cases, not_applicable, requirements

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"

BLOCKS = {
    "General": "Generic requirements",
    "A": "Security",
    "B": "Provisioning",
    "C": "Authorization",
    "D": "Local authorization list",
    "E": "Transactions",
    "F": "Remote control",
    "G": "Availability",
    "H": "Reservation",
    "I": "Tariff and cost",
    "J": "Meter values",
    "K": "Smart charging",
    "L": "Firmware management",
    "M": "ISO 15118 certificates",
    "N": "Diagnostics",
    "O": "Display messages",
    "P": "Data transfer",
}

OTHERS = {
    "csms": "binds the CSMS",
    "local-controller": "binds local controllers",
    "operator": "binds the operator",
    "manufacturer": "binds the manufacturer's process",
    "none": "removed from the specification",
}

Proofs = Mapping[str, list[str]]
"""Id of a requirement or test case -> the tests that prove it, `file::function`, sorted."""


class Row(NamedTuple):
    """What became of one requirement or test case."""

    id: str
    block: str
    level: str
    gist: str
    status: str
    told: str


class Collector:
    """A pytest plugin that keeps the markers of every collected test that can prove something."""

    def __init__(self) -> None:
        self.proofs: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All tests are known."""
        for item in session.items:
            if item.get_closest_marker("skip") or item.get_closest_marker("xfail"):
                continue
            name = item.nodeid.split("[")[0].removeprefix("tests/")
            for marker in (*item.iter_markers("req"), *item.iter_markers("octt")):
                for each in marker.args:
                    self.proofs[each].add(name)


def collect() -> Proofs:
    """The markers of all tests. SystemExit with pytest's words if the collection fails."""
    collector, said = Collector(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(said.getvalue())
    return {each: sorted(names) for each, names in collector.proofs.items()}


def excused(each: Requirement | Case) -> str:
    """Why this one does not apply, or nothing."""
    if isinstance(each, Case):
        given = each.status if each.status.startswith(("not in certification", "removed")) else ""
    elif each.level == "informative" and each.binds not in OTHERS:
        given = "informative"
    else:
        given = OTHERS.get(each.binds, "")
    return given or not_applicable().get(each.id, "")


def judge(each: Requirement | Case, proofs: Proofs) -> Row:
    """One row: satisfied by tests, not applicable for a reason, or open."""
    level, gist = (each.level, each.gist) if isinstance(each, Requirement) else (each.status, each.name)
    tests, reason = proofs.get(each.id, []), excused(each)
    if tests and each.id in not_applicable():
        raise SystemExit(f"{each.id} is listed as not applicable, but {tests[0]} proves it")
    if reason:
        return Row(each.id, each.block, level, gist, "not applicable", reason)
    if tests:
        return Row(each.id, each.block, level, gist, "satisfied", "<br>".join(f"`{name}`" for name in tests))
    return Row(each.id, each.block, level, gist, "**open**", "")


def count(rows: list[Row]) -> str:
    """`satisfied of applicable`, for a cell of the summary."""
    applicable = [row for row in rows if row.status != "not applicable"]
    done = sum(row.status == "satisfied" for row in applicable)
    return f"{done} of {len(applicable)}" if applicable else "-"


def summary(needs: list[Row], octt: list[Row]) -> Iterator[str]:
    """One line a block, and the sum."""
    yield "| block | SHALL | SHOULD | MAY | test cases |"
    yield "|---|---|---|---|---|"
    for block, title in (*BLOCKS.items(), ("", "**all**")):
        mine = [row for row in needs if block in ("", row.block)]
        cells = [count([row for row in mine if row.level == level]) for level in ("SHALL", "SHOULD", "MAY")]
        cells.append(count([row for row in octt if block in ("", row.block)]))
        yield f"| {block} {title} | {' | '.join(cells)} |".replace("|  ", "| ")


def table(head: str, rows: list[Row]) -> Iterator[str]:
    """The rows of one block."""
    if rows:
        yield f"| {head} | level | what | status | by, or why |"
        yield "|---|---|---|---|---|"
        for row in rows:
            yield f"| {row.id} | {row.level} | {row.gist} | {row.status} | {row.told} |".replace("  |", " |")
        yield ""


def page(proofs: Proofs) -> str:
    """The whole page."""
    needs = [judge(each, proofs) for each in requirements().values()]
    octt = [judge(each, proofs) for each in cases().values()]
    lines = [
        "# Conformance to OCPP 2.0.1",
        "",
        "Generated by `make conformance` from the markers of the tests; never edited. What the columns mean and where",
        "the indexes come from is told in [conformance/README.md](conformance/README.md).",
        "Numbers are *satisfied of applicable*.",
        "",
        *summary(needs, octt),
        "",
    ]
    for block, title in BLOCKS.items():
        lines += [f"## {block}: {title}" if len(block) == 1 else f"## {title}", ""]
        lines += table("requirement", [row for row in needs if row.block == block])
        lines += table("test case", [row for row in octt if row.block == block])
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    text = page(collect())
    if "--check" not in arguments:
        PAGE.write_text(text, "utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text("utf-8") == text:
        return 0
    print("docs/conformance.md is stale: run `make conformance` and commit it", file=sys.stderr)  # noqa: T201 - a command
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
