"""A fuzz target: whatever bytes come from outside, the parser takes them or refuses them in its own words.

Each target is a function that is given bytes, and says whether they were taken for something good; it raises whatever
breaks a promise. Its seeds are good ones, so that no target refuses all there is and proves nothing. What holds for
every target is asked here: no more time and memory than a small controller has.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

PATIENCE_S = 2.0
"""Of the processor, for one input: a hundred times what any of them needs."""
MOST_KB = 65_536
"""By which the process may grow over one input."""

Run = Callable[[bytes], bool]


class Target(NamedTuple):
    """`make` prepares it, in a folder of its own, and gives the good inputs and the function.

    `examples`: how many a test tries; `longest`: bytes of an input. `lenient`: it knows nothing that is wrong.
    """

    make: Callable[[], tuple[Sequence[bytes], Run]]
    examples: int = 40
    longest: int = 4096
    lenient: bool = False


def tried(run: Run, data: bytes) -> bool:
    """What the target says; raises AssertionError if that cost too much."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    taken = run(data)
    spent = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert spent < PATIENCE_S, f"{spent:.1f} s for {len(data)} bytes"
    assert grown < MOST_KB, f"{grown} kB for {len(data)} bytes"
    return taken


# --- inputs


TOKENS = [b"", b"\x00", b"\xff" * 4, b"\r\n", b"\n", b"\x1b[2J", b"\xc3\x28", b"..", b"/", b"%00", b"%0d%0a"]
TOKENS += [b"-1", b"1e999", b"NaN", b"9" * 30, b"[" * 2000, b'{"a":' * 500, b"null", b"\\ud800", b"*a", b"&a [*a]"]
"""What parsers stumble over."""

Cut = tuple[str, float, float, bytes]
CUTS = st.tuples(
    st.sampled_from(["drop", "twice", "put", "over", "flip"]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
)


def changed(seed: bytes, cuts: Sequence[Cut], longest: int) -> bytes:
    """A good input that is no longer one: pieces of it left out, doubled, put in, written over, bits turned."""
    data = seed
    for kind, place, size, token in cuts:
        at = int(place * len(data))
        end = min(at + int(size * size * len(data)) + 1, len(data))
        if kind == "drop":
            data = data[:at] + data[end:]
        elif kind == "twice":
            data = data[:end] + data[at:]
        elif kind == "put":
            data = data[:at] + token + data[at:]
        elif kind == "over":
            data = data[:at] + token + data[at + len(token) :]
        elif at < len(data):
            data = data[:at] + bytes((data[at] ^ (1 << int(size * 7.99)),)) + data[at + 1 :]
    return data[:longest]


def inputs(seeds: Sequence[bytes], longest: int) -> st.SearchStrategy[bytes]:
    """Mostly what was a good input before."""
    spoiled = st.builds(changed, st.sampled_from(list(seeds)), st.lists(CUTS, min_size=1, max_size=4), st.just(longest))
    return st.one_of(spoiled, spoiled, st.binary(max_size=min(longest, 400)))


def pieces(data: bytes, size: int = 7) -> Iterator[bytes]:
    """The same in small pieces, as a line gives it."""
    return (data[at : at + size] for at in range(0, len(data), size))
