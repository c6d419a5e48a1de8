"""HTTP and HTTPS: uploads by PUT, else by POST (N01.FR.14, N01.FR.19); downloads that go on where they broke off.

An upload begins anew each time: HTTP has no way to continue one that every server knows, and one that overlooks
Content-Range would keep the end for the whole. Who knows only POST gets the file as a form's, which is what the
specification's example shows. What a server says is bounded by the standard library (lines, headers) and here (bodies);
one that never comes to its point is cut by the line.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import urljoin

import msgspec

from station.location import Location, located
from station.shell.linkdown import one_line
from station.shell.transfer.line import CHUNK, Line
from station.shell.transfer.ways import Failed, Incoming, Kind, Outgoing

REDIRECTS = 5
"""So many are followed; they come to an end somewhere."""

_REDIRECTS = frozenset({301, 302, 307, 308})
"""All with the same method. 303 would be a page about the upload, or one to log in: it says nothing of the file."""

_NO_PUT = frozenset({400, 404, 405, 415, 501})
"""What servers answer that know no PUT at this place."""

_KINDS = {
    **dict.fromkeys((400, 411, 413, 414, 415, 422), Kind.BAD_MESSAGE),
    **dict.fromkeys((401, 403, 407), Kind.PERMISSION_DENIED),
    **dict.fromkeys((405, 501, 505), Kind.NOT_SUPPORTED),
}

_READ = 65536
_OCTETS = "application/octet-stream"
_BOUNDARY = "----ocpp-station-7d1f0a3b5c9e"
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")


class Request(msgspec.Struct, frozen=True):
    """What is asked of a server. The body is a file between two texts."""

    method: str
    headers: Mapping[str, str] = {}
    before: bytes = b""
    after: bytes = b""


# --- up


def upload(line: Line, to: Location, what: Outgoing) -> None:
    """See `ways.Way`."""
    status = _sent(line, to, _put(), what)
    if status in _NO_PUT:
        posted = _sent(line, to, _post(what.name), what)
        # of a place that is not there, or takes no POST either, the first answer says more
        status = status if posted in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} else posted
    if not _done(status):
        raise _failed(status, to)


def _put() -> Request:
    return Request("PUT", {"Content-Type": _OCTETS})


def _post(name: str) -> Request:
    disposition = f'form-data; name="uploadfile"; filename="{name}"'
    before = f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {_OCTETS}\r\n\r\n"
    return Request(
        "POST",
        {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content-Disposition": disposition},
        before.encode(),
        f"\r\n--{_BOUNDARY}--\r\n".encode(),
    )


def _sent(line: Line, to: Location, request: Request, what: Outgoing) -> int:
    """The status that the server answers the request with, wherever it sends it."""
    if to.path.partition("?")[0].endswith("/") and request.method == "PUT":
        path, mark, query = to.path.partition("?")
        to = msgspec.structs.replace(to, path=f"{path}{what.name}{mark}{query}")
    with what.path.open("rb") as body:
        places = _places(to)
        while True:  # until it is answered, or the places end by raising
            place = next(places)
            with _asked(line, place, request, body) as answer:
                if answer.status not in _REDIRECTS:
                    return answer.status
                place.next = answer.getheader("Location", "")


# --- down


def download(line: Line, source: Location, into: Incoming) -> None:
    """See `ways.Way`."""
    for place in _places(source):
        part = into.part
        headers = {"Range": f"bytes={part}-", "If-Range": into.validator} if part else {}
        with _asked(line, place, Request("GET", headers), None) as answer:
            if answer.status in _REDIRECTS:
                place.next = answer.getheader("Location", "")
            elif answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part:
                whole = _UNSATISFIED.fullmatch(answer.getheader("Content-Range", ""))
                if whole and int(whole[1]) == part:
                    return
                into.validator = ""  # there is another file now: the same place again, from its beginning
            else:
                _fetch(line, answer, into, place.location)
                return


def _fetch(line: Line, answer: http.client.HTTPResponse, into: Incoming, source: Location) -> None:
    """Write the answer's body where it belongs."""
    if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
        raise _failed(answer.status, source)
    if answer.getheader("Content-Encoding", "identity").lower() != "identity":
        raise Failed(Kind.FAILED, f"{source.shown}: it comes encoded although nobody asked for that")
    at = 0
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        told = _CONTENT_RANGE.fullmatch(answer.getheader("Content-Range", ""))
        at = into.part
        if told is None or int(told[1]) != at or not at:
            into.validator = ""  # the next attempt takes it whole
            raise Failed(Kind.FAILED, f"{source.shown}: another part came than was asked for")
        validator = into.validator
    else:
        into.validator = ""
        validator = _validator(answer)
    expected = at + answer.length if answer.length is not None else None
    into.check(expected or 0)
    with into.open(validator) as file:
        while piece := answer.read1(_READ):
            at += len(piece)
            into.check(at)
            file.write(piece)
            line.moved(len(piece))
    if expected is not None and at != expected:
        raise Failed(Kind.FAILED, f"{source.shown}: the connection ended after {at} of {expected} bytes")


def _validator(answer: http.client.HTTPResponse) -> str:
    """What tells this version of the file from others: a strong ETag, else the time of its last change."""
    etag = answer.getheader("ETag", "")
    return etag if etag.startswith('"') else answer.getheader("Last-Modified", "")


# --- one request


class _Place:
    """Where a request goes, and where its answer sends it."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.next = ""
        """A URL, maybe a relative one; empty: here again."""

    @property
    def url(self) -> str:
        return f"{self.location.scheme}://{self.location.authority}{self.location.path}"


def _places(first: Location) -> Iterator[_Place]:
    """One after the other, as long as each leads to another. Raises Failed when one leads nowhere or elsewhere."""
    place = _Place(first)
    for _ in range(REDIRECTS + 1):
        yield place
        try:
            target = located(urljoin(place.url, place.next))
        except ValueError:  # BadLocation is one, too
            raise Failed(Kind.FAILED, f"{first.shown} leads to what is no place") from None
        if target.scheme != first.scheme:
            raise Failed(Kind.FAILED, f"{first.shown} leads to another protocol")
        # what the redirection itself says of credentials is not the CSMS's word
        same = target.origin == first.origin
        user, password = (first.user, first.password) if same else ("", "")
        place = _Place(msgspec.structs.replace(target, user=user, password=password))
    raise Failed(Kind.FAILED, f"{first.shown} leads from one place to the next")


@contextlib.contextmanager
def _asked(line: Line, place: _Place, request: Request, body: BinaryIO | None) -> Iterator[http.client.HTTPResponse]:
    """The beginning of the answer; closes the connection in the end."""
    location = place.location
    connection = http.client.HTTPConnection(location.host, location.port)
    try:
        connection.sock = line.connect(location.host, location.port)
        if location.scheme == "https":
            connection.sock = line.secured(connection.sock, location.host)
        line.phase()
        yield _answer(line, connection, location, request, body)
    except http.client.HTTPException as error:
        raise Failed(
            Kind.FAILED, f"{location.shown}: no HTTP: {type(error).__name__} {one_line(str(error))}"
        ) from error
    finally:
        connection.close()


def _answer(
    line: Line,
    connection: http.client.HTTPConnection,
    location: Location,
    request: Request,
    body: BinaryIO | None,
) -> http.client.HTTPResponse:
    connection.putrequest(request.method, location.path, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": location.authority, "User-Agent": "ocpp-station", "Connection": "close", **request.headers}
    if location.user:
        credentials = f"{location.user}:{location.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
    if body is not None:
        size = body.seek(0, 2)
        headers["Content-Length"] = str(len(request.before) + size + len(request.after))
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        if body is not None:
            _send(line, connection, request, body)
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        line.check()
        with contextlib.suppress(OSError, http.client.HTTPException):  # it may have said why before it hung up
            return connection.getresponse()
        raise
    line.phase()
    return connection.getresponse()


def _send(line: Line, connection: http.client.HTTPConnection, request: Request, body: BinaryIO) -> None:
    connection.send(request.before)
    body.seek(0)
    while piece := body.read(CHUNK):
        connection.send(piece)
        line.moved(len(piece))
    connection.send(request.after)


def _done(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the class of answers that are successes


def _failed(status: int, where: Location) -> Failed:
    return Failed(_KINDS.get(status, Kind.FAILED), f"{where.shown}: HTTP {status}")
