"""Certificates, chains, signatures, revocation: nothing but the genuine is believed, whatever was done to it."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import contract, expiry, ocsp, own, signature, trust
from certs.errors import BadCertificate, BadSignature, StoreFull
from certs.installing import Terms, install
from certs.throwaway import Authority, Wish, names_responder, signs_only
from tests.crash.medium import memory
from tests.fuzz.target import Run, Target
from tests.responder import Responder, crl, path, server
from tests.scenarios.l_firmware.updates import IMAGE, Manufacturer

NOW = datetime.now(UTC)
EMAID = "DE8AA1A2B3C4D5"
_PEM = b"-----BEGIN"


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="ocpp-station-fuzz-"))


def _text(data: bytes) -> str:
    """DER is dressed as PEM, so that what is changed is the certificate and not its clothes."""
    return data.decode("utf-8", "replace") if _PEM in data else ssl.DER_cert_to_PEM_cert(data)


def _der(pem: str) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem.encode())]


def _vouched(pem: str) -> bytes:
    """What of the leaf its authority has signed. Around it anybody can write the same signature otherwise."""
    return x509.load_pem_x509_certificates(pem.encode())[0].tbs_certificate_bytes


def chain() -> tuple[Sequence[bytes], Run]:
    """CertificateSigned: the leaf that is taken says, to the byte, what the authority has signed."""
    folder = _folder()
    authority = Authority.create("Root", folder)
    issued = authority.subordinate("Sub").issue("4711", Wish(organization="Operator"))
    key = issued.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected, genuine = own.Expected(key, "4711"), _vouched(issued.pem)

    def run(data: bytes) -> bool:
        text = _text(data)
        _period(text)
        try:
            signed = own.judged(text, expected, authority.root_pem, NOW)
        except BadCertificate as error:
            assert str(error)
            return False
        assert _vouched(signed.pem) == genuine
        assert signed.not_before < NOW < signed.not_after
        return True

    return [issued.pem.encode(), (issued.pem + authority.root_pem).encode()], run


def _period(pem: str) -> None:
    """The period that is read by hand is the library's, or none is."""
    period = expiry.validity(pem)
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        known = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    except (ValueError, x509.InvalidVersion):
        return
    if period is not None and pem.count("BEGIN CERTIFICATE") == 1:
        assert known == tuple(period)


def leaf() -> tuple[Sequence[bytes], Run]:
    """The same, and what is changed is the DER of the leaf."""
    folder = _folder()
    authority = Authority.create("Root", folder)
    issued = authority.issue("4711", Wish(organization="Operator"))
    key = issued.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    expected, genuine = own.Expected(key, "4711"), _vouched(issued.pem)

    def run(data: bytes) -> bool:
        text = ssl.DER_cert_to_PEM_cert(data)
        _period(text)
        try:
            own.judged(text, expected, authority.root_pem, NOW)
        except BadCertificate:
            return False
        assert _vouched(text) == genuine
        return True

    return _der(issued.pem)[:1], run


def root() -> tuple[Sequence[bytes], Run]:
    """InstallCertificate: what is taken can be named, read and removed; what is not leaves the store as it was."""
    with memory() as scratch:
        folder = scratch.parent / f"{scratch.name}-roots"
    authority = Authority.create("Root", _folder())
    store = trust.TrustStore(folder)
    terms = Terms(at=NOW, certain=True, most=3)

    def run(data: bytes) -> bool:
        text = _text(data)
        try:
            root = install(store, "V2GRootCertificate", text, terms)
        except (BadCertificate, StoreFull):
            assert store.held() == []
            return False
        assert [each.fingerprint for each in store.held()] == [root.fingerprint]
        assert root.names
        trust.certificates(store.bundle("V2GRootCertificate"))
        store.remove(root)
        return True

    return [authority.root_pem.encode(), _der(authority.root_pem)[0]], run


def vehicle() -> tuple[Sequence[bytes], Run]:
    """A vehicle's contract: a chain is without a flaw only if its leaf is the genuine one."""
    authority = Authority.create("MO root", _folder())
    wish = Wish(extensions=(names_responder("http://ocsp.example/"), signs_only()))
    pem = authority.subordinate("MO").issue(EMAID, wish).pem
    genuine = _vouched(pem)

    def run(data: bytes) -> bool:
        try:
            found = contract.judged(_text(data), EMAID, [authority.root_pem], NOW)
        except BadCertificate:
            return False
        assert contract.same_emaid(found.emaid, EMAID)
        assert len(found.named) <= 11
        if not found.flaw:
            assert _vouched(found.pem) == genuine
        return not found.flaw

    return [pem.encode()], run


def signer() -> tuple[Sequence[bytes], Run]:
    """UpdateFirmware: only whom the manufacturer's root vouches for may sign, and only what he has signed passes.

    The certificate stands before a line of `=`, the signature behind it.
    """
    folder = _folder()
    maker, image = Manufacturer(folder), folder / "image"
    image.write_bytes(IMAGE)
    genuine, split = _vouched(maker.certificate), b"\n==========\n"

    def run(data: bytes) -> bool:
        certificate, _, signed = data.partition(split)
        text = certificate.decode("utf-8", "replace")
        try:
            signature.check_signer(text, maker.root.root_pem, NOW)
        except BadCertificate:
            return False
        assert _vouched(text) == genuine
        try:
            signature.check(image, text, signed.decode("utf-8", "replace"))
        except BadSignature:
            return False
        return True

    return [maker.certificate.encode() + split + maker.sign().encode()], run


def responder() -> tuple[Sequence[bytes], Run]:
    """An OCSP answer: a certificate that was revoked is never made good by one that nobody has signed."""
    authority = Authority.create("Root", _folder())
    about = Responder(authority)
    issued = server(authority, "http://ocsp.example/")
    about.revoked = {issued.certificate.serial_number}
    (question,) = ocsp.questions(path(issued, authority))
    answer = about.answer(question.request, issued.certificate)

    def run(data: bytes) -> bool:
        try:
            verdict = ocsp.judged(question, data, NOW)
        except BadCertificate as error:
            assert str(error).isprintable()
            return False
        assert verdict.revoked is not None
        return True

    return [answer], run


def status() -> tuple[Sequence[bytes], Run]:
    """The same for a vehicle's sake: base64 in a GetCertificateStatusResponse, asked by any hash."""
    authority = Authority.create("Root", _folder())
    about = Responder(authority)
    issued = server(authority, "http://ocsp.example/")
    (question,) = ocsp.questions(path(issued, authority))
    answer = about.answer(question.request, issued.certificate)

    def run(data: bytes) -> bool:
        try:
            said = base64.b64decode(data.decode("utf-8", "replace"), validate=True)
        except ValueError:
            return False
        try:
            ocsp.judged_by_name(issued.certificate, question.issuer, said, NOW)
        except BadCertificate:
            return False
        return True

    return [base64.b64encode(answer)], run


def revoked() -> tuple[Sequence[bytes], Run]:
    """A CRL: it accuses the certificate that its authority has named, and nobody else; one that is damaged, nobody."""
    authority = Authority.create("Root", _folder())
    bad, good = server(authority, "http://x/", "bad"), server(authority, "http://x/", "good")
    genuine = crl(authority, bad.certificate.serial_number)
    der = x509.load_pem_x509_crl(genuine).public_bytes(Encoding.DER)

    def run(data: bytes) -> bool:
        assert list(ocsp.revoked_by(path(good, authority), [data], NOW)) == []
        both = list(ocsp.revoked_by(path(bad, authority), [data, genuine], NOW))
        assert both, "a damaged list hides a sound one"
        return bool(list(ocsp.revoked_by(path(bad, authority), [data], NOW)))

    return [genuine, der], run


def register() -> tuple[Sequence[bytes], Run]:
    """What lies in the directory of roots is read or left out; it never keeps the agent from starting."""
    authority, folder = Authority.create("Root", _folder()), _folder()
    use = folder / "CSMSRootCertificate"
    use.mkdir()

    def run(data: bytes) -> bool:
        store = trust.TrustStore(folder)
        (use / "aa.pem").write_bytes(data)
        (folder / "register.json").write_bytes(data)
        store.register()
        store.fallback("CSMSRootCertificate")
        bundle = store.bundle("CSMSRootCertificate")
        assert all(each.use == "CSMSRootCertificate" for each in store.roots())
        assert len(trust.certificates(bundle)) == len(store.held())
        return bool(bundle)

    return [authority.root_pem.encode()], run


TARGETS = {
    "chain": Target(chain, longest=20_000),
    "leaf": Target(leaf),
    "root": Target(root),
    "vehicle": Target(vehicle, longest=20_000),
    "signer": Target(signer, longest=20_000),
    "responder": Target(responder),
    "status": Target(status),
    "crl": Target(revoked),
    "roots-directory": Target(register),
}
