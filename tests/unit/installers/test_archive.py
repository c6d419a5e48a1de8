"""Bundles that were made to do harm, or damaged on their way, write nothing outside of their place."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from station.commands.installers import archive, manifest
from station.commands.installers.archive import BadBundle, Reader, Writer, header
from tests.bundles import Place, bundle, content, packed, told, zipped

BLOCK = archive.BLOCK


def entries(path: Path) -> dict[str, bytes]:
    """All that the reader finds."""
    found = {}
    with path.open("rb") as raw:
        reader = Reader(raw)
        while (member := reader.member()) is not None:
            found[member.name] = b"".join(reader.content())
    return found


def test_what_is_packed_is_read_and_any_tar_can_read_it(tmp_path: Path) -> None:
    long = "/".join(["folder" * 5] * 5) + "/" + "name" * 10
    files = {"a": b"", "b/c": b"x" * 511, "b/d": b"y" * 512, long: b"z" * 100_000}
    path = tmp_path / "bundle"
    with Writer(path) as writer:
        for name, data in files.items():
            writer.add(name, data)

    assert entries(path) == files
    with tarfile.open(path) as tar:
        assert {each.name: tar.extractfile(each).read() for each in tar} == files  # type: ignore[union-attr]  # files


def test_names_and_contents_alone_make_the_bytes(tmp_path: Path) -> None:
    first, second = bundle(tmp_path / "first"), bundle(tmp_path / "second")

    assert first.read_bytes() == second.read_bytes()


def test_a_name_that_is_too_long_is_not_packed(tmp_path: Path) -> None:
    with Writer(tmp_path / "bundle") as writer, pytest.raises(BadBundle):
        writer.add("n" * 101, b"")


def file(name: str, data: bytes = b"harm", **more: bytes) -> bytes:
    """A member as it lies in the archive."""
    return header(name, len(data), **more) + data + b"\0" * (-len(data) % BLOCK)


def with_checksum(block: bytes) -> bytes:
    """A header that somebody has changed by hand, and made good again."""
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    return block[:148] + b"%06o\0 " % total + block[156:]


END = b"\0" * 2 * BLOCK
HOSTILE: dict[str, Callable[[], bytes]] = {
    "a symbolic link": lambda: header("lib/x", 0, kind=b"2", link=b"/etc") + END,
    "a hard link": lambda: header("lib/x", 0, kind=b"1", link=b"/etc/passwd") + END,
    "a device": lambda: header("lib/x", 0, kind=b"3") + END,
    "a block device": lambda: header("lib/x", 0, kind=b"4") + END,
    "a pipe": lambda: header("lib/x", 0, kind=b"6") + END,
    "a directory": lambda: header("lib/", 0, kind=b"5") + END,
    "a header of headers": lambda: header("x", 8 << 30, kind=b"x") + END,
    "a sparse file": lambda: header("x", 8 << 30, kind=b"S") + END,
    "an old kind of file": lambda: header("x", 0, kind=b"\0") + END,
    "a wrong checksum": lambda: file("x").replace(b"ustar", b"Ustar") + END,
    "another form": lambda: with_checksum(header("x", 0)[:257] + b"ustar  \0" + header("x", 0)[265:]) + END,
    "a size that is none": lambda: with_checksum(header("x", 0)[:124] + b"-0000000001\0" + header("x", 0)[136:]) + END,
    "a size in another notation": lambda: (
        with_checksum(header("x", 0)[:124] + b"\x80" + b"\xff" * 11 + header("x", 0)[136:]) + END
    ),
    "a name with a zero in it": lambda: with_checksum(b"lib\0/x" + header("x", 0)[6:]) + END,
    "a name beyond ASCII": lambda: with_checksum(b"lib/\xff" + header("x", 0)[5:]) + END,
    "the end in the middle": lambda: file("x", b"y" * 5000)[:2000],
    "no end": lambda: file("x"),
    "something after the end": lambda: file("x") + END + b"more".ljust(BLOCK, b"\0"),
    "zeros without end": lambda: file("x") + b"\0" * 100 * BLOCK,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_no_plain_file_is_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "bundle", HOSTILE[name]())

    with pytest.raises(BadBundle):
        entries(path)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_with_a_good_manifest_is_no_firmware(tmp_path: Path, name: str) -> None:
    """The same after a manifest that names a file `x`: nothing is named to be started, nothing is left outside."""
    place = Place(tmp_path / "place")
    files = {"start.py": b"", "x": b"harm"}
    text = msgspec.json.encode(told(files, "9.0.0"))
    path = zipped(tmp_path / "bundle", file("manifest.json", text) + file("start.py", b"") + HOSTILE[name]())

    outcome, words = place.install(path)

    assert outcome == "unverified", words
    assert place.pointers() == {}
    assert not [each for each in tmp_path.rglob("*") if each.is_symlink()]


NAMES = [
    *("/etc/passwd", "../x", "lib/../../x", "lib/./x", "lib//x", "lib/", "", ".", "..", "lib/..", "a/" * 30 + "x"),
    *("lib/x\n", "lib\\x", "lib/\x1b[2J", "lib/ü", "n" * 300, "manifest.json"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    place = Place(tmp_path / "place")
    text = msgspec.json.encode(told({"start.py": b"", name: b"harm"}, "9.0.0"))
    path = zipped(tmp_path / "bundle", file("manifest.json", text) + END)

    outcome, _ = place.install(path)

    assert (outcome, place.pointers()) == ("unverified", {})


def test_a_file_that_is_a_folder_too_is_refused(tmp_path: Path) -> None:
    files = {"lib": b"", "lib/x": b"", "start.py": b""}
    path = packed(tmp_path / "bundle", msgspec.json.encode(told(files, "9.0.0")), files)

    outcome, words = Place(tmp_path / "place").install(path)

    assert (outcome, words) == ("unverified", "lib is a file and a folder in it")


def other(files: dict[str, bytes], **changes: bytes | None) -> dict[str, bytes]:
    """Some files changed, or left out."""
    changed = {**files, **{name.replace("_py", ".py"): data for name, data in changes.items() if data is not None}}
    return {name: data for name, data in changed.items() if changes.get(name.replace(".py", "_py"), b"") is not None}


@pytest.mark.parametrize(
    "changes",
    [{"start_py": b"harm"}, {"start_py": None}, {"zz_py": b"harm"}, {"aa_py": b"harm"}],
    ids=["changed", "left out", "added at the end", "added at the beginning"],
)
def test_what_is_not_as_the_manifest_says_is_refused(tmp_path: Path, changes: dict[str, bytes | None]) -> None:
    place = Place(tmp_path / "place")
    files = content("9.0.0")
    text = msgspec.json.encode(told(files, "9.0.0"))
    given = other(files, **changes)
    path = packed(tmp_path / "bundle", text, {name: given[name] for name in sorted(given)})

    outcome, words = place.install(path)

    assert (outcome, place.pointers()) == ("unverified", {}), words


def test_a_file_of_the_right_size_and_wrong_content_is_refused(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    files = content("9.0.0")
    text = msgspec.json.encode(told(files, "9.0.0"))
    wrong = {**files, "lib/big.bin": files["lib/big.bin"][:-1] + b"!"}

    outcome, words = place.install(packed(tmp_path / "bundle", text, wrong))

    assert (outcome, words) == ("unverified", "lib/big.bin is not what its manifest says")


@pytest.mark.parametrize("raw", [b"", b"\x1f\x8b", b"no gzip at all", b"PK\x03\x04" + b"\0" * 600])
def test_what_is_no_archive_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(raw)

    assert Place(tmp_path / "place").install(path)[0] == "unverified"


def test_every_truncation_and_every_flipped_byte_of_a_bundle_is_refused(tmp_path: Path) -> None:
    """Whatever comes out of it, nothing that was not made by the manufacturer is named."""
    place = Place(tmp_path / "place")
    whole = bundle(tmp_path / "whole").read_bytes()
    path = tmp_path / "bundle"
    for at in range(0, len(whole), max(len(whole) // 60, 1)):
        for raw in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1 :]):
            path.write_bytes(raw)
            try:
                found = entries(path)
            except BadBundle:
                continue
            assert at < 10  # gzip's own header holds a time and a system, which mean nothing
            assert found == entries(tmp_path / "whole")
    assert place.pointers() == {}


def test_more_than_the_manifest_says_is_never_unpacked(tmp_path: Path) -> None:
    """A gigabyte of zeros is a megabyte of gzip: what is read is bounded by the sizes that were looked at before."""
    files = {"start.py": b""}
    text = msgspec.json.encode(told(files, "9.0.0"))
    blocks = file("manifest.json", text) + header("start.py", 1 << 30)
    path = zipped(tmp_path / "bundle", blocks + b"\0" * 2_000_000)

    assert Place(tmp_path / "place").install(path)[1] == "start.py is not where its manifest says"


def test_a_manifest_that_is_too_long_is_not_read() -> None:
    raw = io.BytesIO()
    raw.write(gzip.compress(header("manifest.json", 1 << 30)))
    raw.seek(0)

    with pytest.raises(BadBundle, match="does not begin"):
        manifest.first(Reader(raw))


@pytest.mark.parametrize(
    "raw", [b"", b'{"product":"\xff"}', b'{"files":{"\x80":{}}}', b'{"x":' + b"[" * 100_000, b"[]", b"\x00" * 100]
)
def test_a_manifest_that_is_no_text_is_refused(raw: bytes) -> None:
    """By other errors of the library than other damage: the installation would end without a word."""
    with pytest.raises(BadBundle):
        manifest.read(raw)
