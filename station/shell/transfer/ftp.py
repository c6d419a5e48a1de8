"""FTP and FTPS, passive (N01): what broke off goes on by APPE, or by REST.

ftps is FTP that turns to TLS before it logs in, or, at port 990, begins with it; the data connections, too, in the
session of the first, which many servers demand. The path of the URL begins where the login leads.
"""

from __future__ import annotations

import contextlib
import ftplib
import re
import socket
import ssl
from collections.abc import Iterator
from typing import cast

from station.location import Location
from station.shell.linkdown import one_line
from station.shell.transfer.line import CHUNK, Line, closing
from station.shell.transfer.ways import Failed, Incoming, Kind, Outgoing

IMPLICIT_TLS = 990
_READ = 65536
_MOST_REPLIES = 65536
"""Characters that a server may say on one connection; the library would collect a reply that never ends."""

_KINDS = {
    "332": Kind.PERMISSION_DENIED,
    "530": Kind.PERMISSION_DENIED,
    "532": Kind.PERMISSION_DENIED,
    "501": Kind.BAD_MESSAGE,
    "553": Kind.BAD_MESSAGE,
    **dict.fromkeys(("500", "502", "503", "504", "534"), Kind.NOT_SUPPORTED),
}
_MODIFIED = re.compile(r"213 (\d{14})")


def upload(line: Line, to: Location, what: Outgoing) -> None:
    """See `ways.Way`."""
    with _logged_in(line, to) as control, what.path.open("rb") as file:
        target = _target(control, to, what.name)
        at = _there(control, target) if what.moved else 0
        at = at if at <= what.moved else 0  # what we did not send is not ours to continue
        if at == what.size:
            return
        file.seek(at)
        with closing(control.transfercmd(f"{'APPE' if at else 'STOR'} {target}")) as data:
            while piece := file.read(CHUNK):
                data.sendall(piece)
                line.moved(len(piece))
            _end(data)
        line.phase()
        control.voidresp()


def download(line: Line, source: Location, into: Incoming) -> None:
    """See `ways.Way`."""
    path = source.path[1:]
    with _logged_in(line, source) as control:
        size = _there(control, path)
        into.check(size)
        validator = f"{size}/{_modified(control, path)}"
        at = into.part if validator == into.validator else 0
        with into.open(validator) as file, closing(control.transfercmd(f"RETR {path}", at or None)) as data:
            while piece := data.recv(_READ):
                at += len(piece)
                into.check(at)
                file.write(piece)
                line.moved(len(piece))
        line.phase()
        control.voidresp()
        if size and at != size:
            raise Failed(Kind.FAILED, f"{source.shown}: the connection ended after {at} of {size} bytes")


def _target(control: _Control, to: Location, name: str) -> str:
    """What the file is called there: the URL's own words, or `name` where they lead to a directory."""
    path = to.path[1:]
    if not path:
        return name
    try:
        control.cwd(path)
    except ftplib.error_perm:
        if path.endswith("/"):
            raise
        return path
    return name


def _there(control: _Control, path: str) -> int:
    """How much of a file the server has; 0 if it does not say."""
    with contextlib.suppress(ftplib.error_perm, ValueError):
        return control.size(path) or 0
    return 0


def _modified(control: _Control, path: str) -> str:
    with contextlib.suppress(ftplib.error_perm):
        told = _MODIFIED.match(control.sendcmd(f"MDTM {path}"))
        return told[1] if told else ""
    return ""


def _end(data: socket.socket) -> None:
    """Say that this was all; a server that does not answer to it has it nevertheless."""
    if isinstance(data, ssl.SSLSocket):
        with contextlib.suppress(OSError):
            data.unwrap()


@contextlib.contextmanager
def _logged_in(line: Line, location: Location) -> Iterator[_Control]:
    """A control connection, logged in, for binary files. Raises Failed for what the server refuses."""
    control = _Control(line, location)
    try:
        control.open()
        yield control
        with contextlib.suppress(OSError, EOFError, ftplib.Error):
            control.quit()
    except ftplib.Error as error:
        text = str(error)
        raise Failed(_KINDS.get(text[:3], Kind.FAILED), f"{location.shown}: {_hushed(text, location)}") from error
    except ValueError as error:  # a reply that makes no sense
        raise Failed(Kind.FAILED, f"{location.shown}: no FTP: {one_line(str(error))}") from error
    finally:
        control.close()


def _hushed(text: str, location: Location) -> str:
    """A server's words, which may repeat what it was sent."""
    return text.replace(location.password, "***") if location.password else text


class _Control(ftplib.FTP):
    """The control connection over a `Line`."""

    def __init__(self, line: Line, location: Location) -> None:
        super().__init__()
        self._line = line
        self._location = location
        self._replied = 0
        self._secure = location.scheme == "ftps"
        self.host = location.host

    def open(self) -> None:
        """Connect, turn to TLS, log in. Raises ftplib.Error and OSError."""
        self.sock = self._line.connect(self._location.host, self._location.port)
        self.af = self.sock.family
        if self._secure and self._location.port == IMPLICIT_TLS:
            self.sock = self._line.secured(self.sock, self.host)
        self._listen()
        self.welcome = self.getresp()
        if self._secure and not isinstance(self.sock, ssl.SSLSocket):
            self.voidcmd("AUTH TLS")
            self.sock = self._line.secured(self.sock, self.host)
            self._listen()
        self.login(self._location.user, self._location.password)
        if self._secure:
            self.voidcmd("PBSZ 0")
            self.voidcmd("PROT P")
        self.voidcmd("TYPE I")

    def _listen(self) -> None:
        self.file = cast("socket.socket", self.sock).makefile("r", encoding=self.encoding, errors="backslashreplace")

    def getline(self) -> str:
        """As the library's, within bounds."""
        text = super().getline()
        self._replied += len(text)
        if self._replied > _MOST_REPLIES:
            raise ftplib.error_proto("it never comes to an end")  # noqa: S321 - the specification asks for FTP
        return text

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """A data connection on which `cmd` has begun."""
        data = self._line.connect(*self.makepasv())
        try:
            if rest is not None:
                self.sendcmd(f"REST {rest}")
            self._begun(self.sendcmd(cmd))
            if self._secure:
                session = self.sock.session if isinstance(self.sock, ssl.SSLSocket) else None
                data = self._line.secured(data, self.host, session)
        except BaseException:
            data.close()
            raise
        return data, None

    def _begun(self, reply: str) -> None:
        """Raises an error unless data follows."""
        if reply[0] == "2":  # some servers confirm first
            reply = self.getresp()
        if reply[0] != "1":
            raise ftplib.error_reply(reply)  # noqa: S321 - the specification asks for FTP
