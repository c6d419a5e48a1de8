"""Whether a certificate was revoked: whose word counts, and which."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certs import ocsp
from certs.errors import BadCertificate
from certs.throwaway import Authority, Issued, Wish
from certs.tls import names_responder
from tests.responder import HOUR, LOCAL, NOW, Responder, appointed, crl, path, server

URL = "http://ocsp.example/status"
DAY = timedelta(days=1)


class Site:
    """An authority, its responder, a server's certificate, and the question about it."""

    def __init__(self, folder: Path) -> None:
        (folder / "other").mkdir()
        self.authority = Authority.create("Root", folder)
        self.stranger = Authority.create("Root", folder / "other")
        self.responder = Responder(self.authority)
        self.server = server(self.authority, URL)
        (self.question,) = ocsp.questions(path(self.server, self.authority))

    def judged(self) -> ocsp.Verdict:
        """What the answer says."""
        answer = self.responder.answer(self.question.request, self.server.certificate)
        return ocsp.judged(self.question, answer, NOW)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Nothing is revoked."""
    return Site(tmp_path)


def test_each_certificate_of_a_chain_that_names_a_responder_is_asked_about(tmp_path: Path) -> None:
    """Not the root, whom nobody can revoke."""
    root = Authority.create("Root", tmp_path)
    middle = root.subordinate("Sub")
    certificate = server(middle, URL)
    silent = middle.issue("silent", Wish(LOCAL))

    (question,) = ocsp.questions(path(certificate, middle, root))

    assert question.url == URL
    assert question.certificate == certificate.certificate
    assert names_responder(path(certificate)[0])
    assert ocsp.questions(path(silent, middle, root)) == []
    assert not names_responder(path(silent)[0])


@pytest.mark.parametrize(
    "url",
    [
        "https://ocsp.example/",
        "ldap://ocsp.example/",
        "file:///etc/passwd",
        "http://x/\r\nEvil: 1",
        "http://" + 600 * "x",
    ],
)
def test_a_responder_is_asked_by_plain_http_only(tmp_path: Path, url: str) -> None:
    """The answer is signed; TLS would raise the question anew, and other schemes are none of ours."""
    root = Authority.create("Root", tmp_path)

    assert ocsp.questions(path(server(root, url), root)) == []


def test_a_good_certificate_is_good_until_the_answer_ends(site: Site) -> None:
    """By the authority itself."""
    assert site.judged() == ocsp.Verdict(None, NOW + HOUR)


def test_a_revoked_certificate_is_revoked_with_its_reason(site: Site) -> None:
    """A person wants to know when and why."""
    site.responder.revoked = {site.server.certificate.serial_number}

    assert site.judged().revoked == f"revoked on {NOW - HOUR:%Y-%m-%d}: keyCompromise"


def test_whom_the_authority_has_appointed_may_answer(site: Site) -> None:
    """RFC 6960, 4.2.2.2."""
    site.responder.by = appointed(site.authority)

    assert site.judged().revoked is None


def test_an_answer_without_an_end_counts_for_a_while(site: Site) -> None:
    """NextUpdate may be left out."""
    site.responder.until = None

    assert site.judged().until == NOW - HOUR + ocsp.UNDATED


def _forged(site: Site) -> None:
    site.responder.authority, site.responder.about = site.stranger, None


def _by(make: Callable[[Site], Issued]) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.responder.by = make(site)

    return change


def _old(site: Site) -> None:
    site.responder.since, site.responder.until = NOW - 3 * DAY, NOW - DAY


def _of_tomorrow(site: Site) -> None:
    site.responder.since, site.responder.until = NOW + HOUR, NOW + DAY


def _about_another(site: Site) -> None:
    site.responder.about = site.authority.issue("another", Wish(LOCAL)).certificate


def _for_another_key(site: Site) -> None:
    """Signed by whom the authority has appointed, about the certificate of that number of another by the same name."""
    site.responder.by = appointed(site.authority)
    site.responder.authority = site.stranger


def _unknown(site: Site) -> None:
    site.responder.unknown = True


@pytest.mark.parametrize(
    "change",
    [
        _forged,
        _by(lambda site: appointed(site.authority, purpose=False)),
        _by(lambda site: appointed(site.stranger)),
        _by(lambda site: appointed(site.authority, valid=(-2 * DAY, -DAY))),
        _old,
        _of_tomorrow,
        _about_another,
        _for_another_key,
        _unknown,
    ],
    ids=[
        *("forged", "not appointed", "a stranger's", "no longer", "old", "of tomorrow"),
        *("of another", "of another authority by the same name", "unknown"),
    ],
)
def test_what_must_not_be_believed_is_no_answer(site: Site, change: Callable[[Site], None]) -> None:
    """Whoever stands between station and responder could say it."""
    change(site)

    with pytest.raises(BadCertificate):
        site.judged()


@given(st.binary(max_size=300))
def test_rubbish_is_no_answer(tmp_path_factory: pytest.TempPathFactory, said: bytes) -> None:
    """Nothing else than BadCertificate comes of it."""
    site = Site(tmp_path_factory.mktemp("site"))

    with pytest.raises(BadCertificate):
        ocsp.judged(site.question, said, NOW)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_an_answer_of_which_a_byte_was_changed_makes_no_revoked_certificate_good(
    tmp_path_factory: pytest.TempPathFactory, place: float, change: int
) -> None:
    """It says the same, or nothing."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.responder.revoked = {site.server.certificate.serial_number}
    answer = bytearray(site.responder.answer(site.question.request, site.server.certificate))
    answer[int(place * len(answer))] ^= change

    try:
        verdict = ocsp.judged(site.question, bytes(answer), NOW)
    except BadCertificate:
        return
    assert verdict.revoked is not None


# --- CRLs


def test_a_certificate_on_its_authoritys_list_is_revoked(site: Site) -> None:
    """In PEM or DER; those of others say nothing."""
    serial = site.server.certificate.serial_number
    lists = [b"rubbish", crl(site.stranger, serial), crl(site.authority, 1, serial)]

    (reason,) = ocsp.revoked_by(path(site.server, site.authority), lists, NOW)

    assert reason == f"CN=localhost,O=Throw-away: revoked on {NOW - HOUR:%Y-%m-%d}: keyCompromise"


def test_a_list_that_does_not_count_says_nothing(site: Site) -> None:
    """Of another certificate, by a stranger of the same name, too old, or of a part only."""
    serial = site.server.certificate.serial_number
    lists = [
        crl(site.authority, serial + 1),
        crl(site.stranger, serial),
        crl(site.authority, serial, until=-HOUR),
        crl(site.authority, serial, partial=True),
    ]

    assert list(ocsp.revoked_by(path(site.server, site.authority), lists, NOW)) == []


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_list_of_which_a_byte_was_changed_accuses_nobody_else_and_hides_no_other(
    tmp_path_factory: pytest.TempPathFactory, place: float, change: int
) -> None:
    """A file that was damaged on its way does not keep a station from its CSMS."""
    site = Site(tmp_path_factory.mktemp("site"))
    serial = site.server.certificate.serial_number
    good, way = crl(site.authority, serial), path(site.server, site.authority)
    damaged = bytearray(x509.load_pem_x509_crl(crl(site.authority, serial + 1)).public_bytes(Encoding.DER))
    damaged[int(place * len(damaged))] ^= change

    assert list(ocsp.revoked_by(way, [bytes(damaged)], NOW)) == []
    assert len(list(ocsp.revoked_by(way, [bytes(damaged), good], NOW))) == 1
