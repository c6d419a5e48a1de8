"""The rules of the house that a machine can check: who may import whom, who may wait, who may read a clock.

A module may always import its own package; whatever else is ours must stand in its row of `MAY_IMPORT`. The longest
prefix that matches names the row.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import indexes

ROOT = Path(__file__).parent.parent
PACKAGES = ("station", "hal", "device_model", "certs")
LANGUAGE = ("station.ocpp", "station.now")
VALUES = (*LANGUAGE, "hal.api", "hal.iso15118", "hal.schedules")  # hal's value types, nothing that does anything

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "hal": (),
    "device_model": (),
    "certs": (),
    "station.ocpp": (),
    "station.now": (),
    "station.location": (),
    "station.extension": LANGUAGE,
    "station.block": (*LANGUAGE, "station.refusal"),
    "station.recovery": LANGUAGE,
    "station.facts": VALUES,
    "station.ports": (*VALUES, "station.block", "station.facts"),
    "station.effects": (*VALUES, "station.block", "station.ports", "station.store"),
    "station.store": (*VALUES, "station.facts", "station.ports", "station.block"),
    "station.state": (*VALUES, "station.facts", "station.refusal", "station.store", "device_model"),
    "station.blocks": (
        *VALUES,
        *("station.state", "station.facts", "station.ports", "station.block", "station.refusal", "device_model"),
        *("station.location", "station.extension"),
    ),
    "station.inputs": (*LANGUAGE, "station.block", "station.effects"),
    "station.engine": (
        *VALUES,
        *("station.store", "station.block", "station.facts", "station.ports", "station.effects", "station.recovery"),
        "station.inputs",
    ),
    "station.csms": (*LANGUAGE, "station.block", "station.facts", "station.ports", "station.store"),
    "station.stamps": (*LANGUAGE, "station.store"),
    "station.rendering": (*LANGUAGE, "station.store", "station.stamps"),
    "station.exchange": (
        *LANGUAGE,
        *("station.engine", "station.inputs", "station.csms", "station.effects", "station.block", "station.facts"),
        "station.store",
        *("station.stamps", "station.rendering"),
    ),
    "station.shell": (
        *LANGUAGE,
        "station.exchange",
        *(
            "station.engine",
            "station.inputs",
            "station.effects",
            "station.facts",
            "station.block",
            "station.ports",
            "station.store.files",
            "station.location",
        ),
        *("hal", "certs"),
    ),
}
"""Whatever has no row here (station.app, config, cli, demo) puts the parts together and may import everything."""

MAY_USE_CERTS = ("station.blocks.security", "station.blocks.firmware", "station.blocks.iso15118")
MAY_WAIT = ("station.shell", "station.demo", "station.commands", "hal")
MAY_READ_A_CLOCK = (*MAY_WAIT, "station.cli", "station.config", "certs.throwaway")
MAY_BE_RANDOM = (*MAY_READ_A_CLOCK, "certs", "station.setup")


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of ours by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text("utf-8"), str(path))
    return found


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """Half a million nodes of syntax trees would be looked at by every collection of garbage until the run ends."""
    yield
    modules.cache_clear()


def below(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a module is one of these or inside of one of them."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@functools.cache
def imports(name: str) -> frozenset[str]:
    """What a module imports, wherever in it, as dotted names; `from a import b` as a.b if that is a module of ours."""
    found = set()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            here = name.split(".") + ["__init__"] * ((ROOT / name.replace(".", "/")).is_dir())
            base = ".".join([*here[: -node.level], *filter(None, [node.module])]) if node.level else str(node.module)
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= (inner & modules().keys()) or {base}
    return frozenset(found)


def row(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The package a module belongs to in the table, and what that may import."""
    matching = [prefix for prefix in MAY_IMPORT if below(name, (prefix,))]
    longest = max(matching, key=len, default=None)
    return (longest, MAY_IMPORT[longest]) if longest else None


def test_a_module_imports_only_what_its_layer_may() -> None:
    """The table above; no block imports another block; only three blocks use certs, and only its functions."""
    wrong = []
    for name in modules():
        if not (known := row(name)):
            continue
        home, allowed = known
        unit = ".".join(name.split(".")[:3]) if home == "station.blocks" else home
        if unit in MAY_USE_CERTS:
            allowed = (*allowed, "certs")
        foreign = [each for each in imports(name) if below(each, PACKAGES) and not below(each, (unit, *allowed))]
        wrong += [f"{name} imports {each}" for each in foreign]

    assert not wrong


def test_no_module_imports_itself_by_a_detour() -> None:
    """No cycles, not even by imports inside of functions."""
    graph = {
        name: {each for each in imports(name) if each in modules() and not below(name, (each,))} for name in modules()
    }

    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the way round


def test_no_module_escapes_by_type_checking() -> None:
    """An import that only a type checker sees would hide a dependency."""
    escaping = [
        name
        for name, tree in modules().items()
        if any(isinstance(node, ast.Name) and node.id == "TYPE_CHECKING" for node in ast.walk(tree))
    ]

    assert not escaping


def test_the_core_never_waits() -> None:
    """Only the shell and the drivers are asynchronous: a step cannot be interleaved."""
    core = [name for name in modules() if not below(name, MAY_WAIT)]
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

    assert not [name for name in core if any(isinstance(node, waiting) for node in ast.walk(modules()[name]))]
    assert not [name for name in core if "asyncio" in imports(name)]


CLOCKS = re.compile(r"time\.(time|monotonic|perf_counter|sleep)(_ns)?|(datetime|date)\.(now|utcnow|today)")
DICE = re.compile(r"uuid\.uuid\d|random\.[a-z]\w*|os\.urandom|secrets\.\w+")


def used(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module uses: `time.time`, `datetime.now`, also those brought in by `from`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ".".join(ast.unparse(node).split(".")[-2:])
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_core_reads_no_clock_and_rolls_no_dice() -> None:
    """Time, ids and randomness are arguments: two offline days run in milliseconds, and any run can be repeated."""
    found = []
    for name, tree in modules().items():
        names = set(used(tree))
        if not below(name, MAY_READ_A_CLOCK):
            found += [f"{name}: {each}" for each in names if CLOCKS.fullmatch(each)]
        if not below(name, MAY_BE_RANDOM):
            found += [f"{name}: {each}" for each in names if DICE.fullmatch(each)]

    assert not found


def texts() -> Iterator[tuple[Path, str]]:
    """Every file of ours that somebody wrote or that cites something."""
    for folder in (*PACKAGES, "tests", "bench", "systemd", "packaging"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".sql", ".yaml", ".service", ".rules", ".md"} and path != Path(__file__):
                yield path.relative_to(ROOT), path.read_text("utf-8")


def test_every_cited_requirement_and_test_case_exists() -> None:
    """An id copied from memory misleads whoever looks it up."""
    known = {*indexes.requirements(), *indexes.cases()}
    cited = re.compile(r"\b[A-Z]\d\d\.FR\.\d+\b|\bTC_[A-Z]+_\d+_CS\b")

    unknown = {f"{path}: {each}" for path, text in texts() for each in cited.findall(text) if each not in known}

    assert not unknown


def test_nothing_is_left_to_do_and_nothing_names_somebodys_machine() -> None:
    """No reminders, no stubs, no paths of a developer's own."""
    forbidden = re.compile(r"\b(TODO|FIXME)\b|raise NotImplementedError|(?<![\w.])/(home|Users|root|work)/[\w-]+")

    found = [f"{path}: {match.group()}" for path, text in texts() for match in forbidden.finditer(text)]

    assert not found


def test_every_ignore_gives_its_reason() -> None:
    """`# noqa: X - why` and `# type: ignore[x]  # why`."""
    bare = re.compile(
        r"#\s*noqa(:\s*[A-Z0-9, ]+)?\s*$|#\s*type:\s*ignore(\[[\w\-, ]+\])?\s*$|#\s*pragma:[\w ]+$", re.MULTILINE
    )

    found = [
        f"{path}:{token.start[0]}: {token.string}"
        for path, text in texts()
        if path.suffix == ".py" and bare.search(text)  # reading it word by word costs a thousand times more
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and bare.search(token.string)
    ]

    assert not found
