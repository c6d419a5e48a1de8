"""HTTPS and FTPS: a server whose certificate was revoked gets neither a file nor a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from certs.throwaway import Authority, Issued, Wish
from certs.tls import TlsSettings
from station.shell.network import Revocation
from station.shell.transfer.line import Pace, Trust
from station.shell.transfer.transfers import Transfers
from tests.fileservers import Answer, FtpServer, HttpServer, Seen
from tests.live_csms import server_context
from tests.responder import LOCAL, Responder, crl, named
from tests.unit.shell.transfer.moving import CONTENT, incoming, outgoing, refused, up

Policy = Literal["off", "soft", "hard"]


class Site:
    """An authority, its responder, and the certificate of a server of files that names it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create("Files root", folder)
        self.responder = Responder(self.authority)
        self.silent = False
        self.asking = HttpServer()
        self.asking.script = self._answer
        self.issued = self.issue("localhost")

    def issue(self, name: str, wish: Wish = Wish(LOCAL)) -> Issued:  # noqa: B008 - immutable
        """As an authority does."""
        self.issued = self.authority.issue(name, wish._replace(extensions=(named(self.asking.url("/status")),)))
        return self.issued

    def _answer(self, seen: Seen) -> Answer:
        if self.silent:
            return Answer(503)
        return Answer(200, {}, self.responder.answer(seen.body, self.issued.certificate))

    def transfers(self, folder: Path, policy: Policy = "soft", *crls: Path) -> Transfers:
        """Of a station that trusts the authority."""
        tls, how = TlsSettings(roots_pem=self.authority.root_pem), Revocation(policy, crls)
        return Transfers(lambda: Trust(tls, folder / "hosts.json", None, how, this_machine=True), Pace())

    def revoke(self) -> None:
        """The server's certificate is worth nothing any more."""
        self.responder.revoked = {self.issued.certificate.serial_number}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with site.asking:
        yield site


def test_a_server_that_is_good_is_asked_about_once(site: Site, tmp_path: Path) -> None:
    with HttpServer(server_context(site.issued)) as server:
        moving = site.transfers(tmp_path, "hard")
        up(moving, server.url("/a.zip"), outgoing(tmp_path))
        up(moving, server.url("/b.zip"), outgoing(tmp_path))

        assert server.files == {"/a.zip": CONTENT, "/b.zip": CONTENT}
        assert len(site.asking.seen) == 1


@pytest.mark.parametrize("policy", ["soft", "hard"])
def test_a_server_of_files_that_was_revoked_hears_nothing(site: Site, tmp_path: Path, policy: Policy) -> None:
    site.revoke()
    with HttpServer(server_context(site.issued)) as server:
        server.files["/2.bin"] = CONTENT
        lost = refused(site.transfers(tmp_path, policy), server.url("/logs/", credentials=True), outgoing(tmp_path))
        refused(site.transfers(tmp_path, policy), server.url("/2.bin"), incoming(tmp_path))

        assert "keyCompromise (OCSP)" in lost.detail
        assert server.seen == []


def test_a_server_on_its_authoritys_list_is_refused_whatever_the_policy(site: Site, tmp_path: Path) -> None:
    listed = tmp_path / "crl.pem"
    listed.write_bytes(crl(site.authority, site.issued.certificate.serial_number))
    with HttpServer(server_context(site.issued)) as server:
        failed = refused(site.transfers(tmp_path, "off", listed), server.url("/a.zip"), outgoing(tmp_path))

        assert "(CRL)" in failed.detail
        assert server.seen == []


@pytest.mark.parametrize("policy", ["off", "soft"])
def test_a_responder_that_is_silent_stops_no_transfer(site: Site, tmp_path: Path, policy: Policy) -> None:
    site.silent = True
    with HttpServer(server_context(site.issued)) as server:
        up(site.transfers(tmp_path, policy), server.url("/a.zip"), outgoing(tmp_path))

        assert server.files == {"/a.zip": CONTENT}
        assert len(site.asking.seen) == (policy != "off")


def test_where_an_answer_is_wanted_silence_stops_it(site: Site, tmp_path: Path) -> None:
    site.silent = True
    with HttpServer(server_context(site.issued)) as server:
        failed = refused(site.transfers(tmp_path, "hard"), server.url("/a.zip"), outgoing(tmp_path))

        assert "not known" in failed.detail
        assert server.seen == []


def test_an_ftp_server_that_was_revoked_does_not_hear_the_password(site: Site, tmp_path: Path) -> None:
    """By explicit TLS: before it logs in."""
    (tmp_path / "remote").mkdir()
    with FtpServer(tmp_path / "remote", cast("Any", site)) as server:
        up(site.transfers(tmp_path), server.url("/good.zip"), outgoing(tmp_path))
        before = len(server.commands)
        site.revoke()
        failed = refused(site.transfers(tmp_path), server.url("/bad.zip"), outgoing(tmp_path))

        assert "keyCompromise (OCSP)" in failed.detail
        assert [each.name for each in (tmp_path / "remote").iterdir()] == ["good.zip"]
        assert server.commands[before:] == ["AUTH TLS"]
