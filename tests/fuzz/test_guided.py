"""The same parsers under atheris, which follows what they do: as much as CI has time for, the same inputs each time."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.all import TARGETS
from tests.fuzz.planted import WORD

ROOT = Path(__file__).parents[2]
SECONDS = 2
"""For each target. There are some thirty, and CI has ten minutes for everything."""
TOLD = re.compile(r"^(\S+) +(\d+) executions  (ok|FOUND)$", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="parsers under atheris NOT TESTED: it is not installed, or has no wheel for this Python and machine",
)


def fuzzed(*arguments: str, within_s: float = 500) -> tuple[int, str]:
    """The exit code of `make fuzz` and what it printed, without what it had learnt before."""
    command = [sys.executable, "-m", "tests.fuzz", "--forget", "--seed", "1", *arguments]
    done = subprocess.run(  # noqa: S603 - ourselves
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_parser_is_broken_by_what_atheris_thinks_of(record_property: Callable[[str, object], None]) -> None:
    began = time.monotonic()

    code, said = fuzzed("--seconds", str(SECONDS))

    assert code == 0, said
    tried = {name: int(count) for name, count, _ in TOLD.findall(said)}
    assert tried.keys() == TARGETS.keys()
    assert min(tried.values()) > 20, "the machine was too busy to try anything"
    spent = time.monotonic() - began
    record_property("figure", f"atheris: {sum(tried.values()):,} inputs for {len(tried)} parsers in {spent:.0f} s")


PLANTED = {
    "raises": "IndexError: as a parser does that believes a length",
    "hangs": "libFuzzer: timeout",
    "grows": "libFuzzer: out-of-memory",
}


@pytest.mark.slow
def test_a_fault_that_only_guidance_reaches_is_found_and_its_input_kept() -> None:
    """The first does not keep the others from being tried."""
    terms = ["--seconds", "60", "--hang-s", "3", "--memory-mb", "400"]

    code, said = fuzzed("--targets", "tests.fuzz.planted", *terms)

    assert code == len(PLANTED), said
    assert {name: what for name, _, what in TOLD.findall(said)} == dict.fromkeys(PLANTED, "FOUND")
    for name, words in PLANTED.items():
        assert words in said
        again = re.search(rf"python -m tests\.fuzz --once {name} (\S+)", said)
        assert again, said
        kept = ROOT / again[1]
        content = kept.read_bytes()
        assert content.startswith(WORD)
        assert f"the input, in base64: {base64.b64encode(content).decode()}" in said
        kept.unlink()  # what else lies there is worth a look
