"""Whether a certificate has been revoked: OCSP (RFC 6960) and CRLs (RFC 5280, section 5), as questions and answers.

Nothing here does I/O: `questions` says what to send where, `judged` reads what came back. An answer counts only if the
certificate's issuer, or whom it has appointed for that, has signed it, for this very certificate and this time.
Imports `cryptography`: import this module where it is used; `certs.tls.names_responder` says where it is of use.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from certs.errors import BadCertificate
from certs.x509 import SOUND_HASHES, check_key, issued_by

SLACK = timedelta(minutes=10)
"""So much may two clocks differ."""
UNDATED = timedelta(days=7)
"""How long an answer counts that does not say until when."""
MOST_APPOINTED = 5
"""Certificates of responders looked at in one answer."""
LONGEST_URL = 512


class Question(NamedTuple):
    """What to ask of whom about one certificate. `id` is the same for the same question."""

    url: str
    request: bytes
    id: bytes
    certificate: x509.Certificate
    issuer: x509.Certificate


class Verdict(NamedTuple):
    """What is known of one certificate, and until when that counts.

    `revoked`: when and why, for people; None if it is good.
    """

    revoked: str | None
    until: datetime


def questions(chain: Sequence[bytes]) -> list[Question]:
    """Of a verified chain (DER, leaf first, up to the root): about each certificate that names a responder."""
    found = []
    certificates = [x509.load_der_x509_certificate(each) for each in chain]
    for certificate, issuer in itertools.pairwise(certificates):
        url = responder(certificate)
        if url is not None:
            # SHA-1 only names the certificate here, and is what every responder knows (RFC 5019, 2.1.1).
            builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - see above
            request = builder.build().public_bytes(Encoding.DER)
            found.append(Question(url, request, request, certificate, issuer))
    return found


def judged_by_name(certificate: x509.Certificate, issuer: x509.Certificate, answer: bytes, at: datetime) -> Verdict:
    """What a responder says of a certificate that others asked about, by whichever hash. Raises BadCertificate."""
    reason: BadCertificate | None = None
    for algorithm in (hashes.SHA256(), hashes.SHA1(), hashes.SHA384(), hashes.SHA512()):  # noqa: S303 - it only names
        request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm).build()
        question = request.public_bytes(Encoding.DER)
        try:
            return judged(Question("", question, question, certificate, issuer), answer, at)
        except BadCertificate as error:
            reason = reason or error
    raise reason or BadCertificate("no question")


def responder(certificate: x509.Certificate) -> str | None:
    """Where to ask about it. By plain HTTP: the answer is signed, and TLS would raise the same question again."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return None
    for each in access:
        location = each.access_location
        if each.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            url = location.value
            if url.lower().startswith("http://") and len(url) <= LONGEST_URL and url.isascii() and url.isprintable():
                return url
    return None


def judged(question: Question, answer: bytes, at: datetime) -> Verdict:
    """What a responder says. Raises BadCertificate for what is no answer to this question, or not to be believed."""
    try:
        return _judged(question, answer, at)
    except BadCertificate:
        raise
    except Exception as error:  # the library's have no base in common, and come when a field is asked for
        raise BadCertificate("the responder's answer cannot be read") from error


def _judged(question: Question, answer: bytes, at: datetime) -> Verdict:
    response = ocsp.load_der_ocsp_response(answer)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise BadCertificate(f"the responder answered {response.response_status.name}")
    _check_signer(response, question.issuer, at)
    request = ocsp.load_der_ocsp_request(question.request)
    for single in response.responses:
        if _is_about(single, request):
            return _verdict(single, at)
    raise BadCertificate("the responder answered for another certificate")


def _is_about(single: ocsp.OCSPSingleResponse, request: ocsp.OCSPRequest) -> bool:
    return (
        single.serial_number == request.serial_number
        and single.issuer_key_hash == request.issuer_key_hash
        and single.issuer_name_hash == request.issuer_name_hash
        and single.hash_algorithm.name == request.hash_algorithm.name
    )


def _verdict(single: ocsp.OCSPSingleResponse, at: datetime) -> Verdict:
    ends = single.next_update_utc or single.this_update_utc + UNDATED
    if single.this_update_utc > at + SLACK or ends < at - SLACK:
        raise BadCertificate(f"the responder's answer is of {single.this_update_utc:%Y-%m-%d %H:%M}")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise BadCertificate("the responder does not know the certificate")
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return Verdict(None, ends)
    return Verdict(_words(single.revocation_time_utc, single.revocation_reason), ends)


def _check_signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, at: datetime) -> None:
    """The issuer itself, or whom it has appointed (RFC 6960, 4.2.2.2). Raises BadCertificate."""
    algorithm = response.signature_hash_algorithm
    if algorithm is not None and algorithm.name not in SOUND_HASHES:
        raise BadCertificate(f"the responder signs with {algorithm.name}, which is outdated")
    appointed = [each for each in response.certificates[:MOST_APPOINTED] if _is_appointed(each, issuer, at)]
    if not any(_signed(response, each) for each in (issuer, *appointed)):
        raise BadCertificate("the responder's answer is signed by nobody who may")


def _is_appointed(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        return False
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in purposes and issued_by(certificate, issuer)


def _signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    check_key(signer)
    key, signature, content = signer.public_key(), response.signature, response.tbs_response_bytes
    algorithm = response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(signature, content, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(signature, content, ec.ECDSA(algorithm))
        elif isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signature, content)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


# --- CRLs


def revoked_by(chain: Sequence[bytes], crls: Iterable[bytes], at: datetime) -> Iterator[str]:
    """Of a verified chain (DER, leaf first): what the CRLs (PEM or DER) of its authorities say against it.

    A CRL that cannot be read, is signed by somebody else, is about a part only, or has expired, says nothing.
    """
    known = [each for each in map(_crl, crls) if each is not None and _is_whole(each, at)]
    certificates = [x509.load_der_x509_certificate(each) for each in chain]
    for certificate, issuer in itertools.pairwise(certificates):
        for crl in known:
            told = _told(crl, certificate, issuer)
            if told is not None:
                yield f"{certificate.subject.rfc4514_string()}: {told}"


def flaw_of_list(data: bytes, at: datetime) -> str:
    """Why a CRL (PEM or DER) says nothing, for people; "" if it may."""
    crl = _crl(data)
    if crl is None:
        return "is no revocation list"
    try:
        ends = crl.next_update_utc
    except ValueError:
        return "cannot be read"
    if ends is not None and ends <= at - SLACK:
        return f"has expired on {ends:%Y-%m-%d}"
    return "" if _is_whole(crl, at) else "is about some certificates only"


def _told(crl: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate) -> str | None:
    """What the issuer's list says against it. A list that cannot be read keeps no station from its CSMS."""
    try:
        if crl.issuer != issuer.subject or not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]  # it has signed a certificate, so its key can sign
            return None
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return None if entry is None else _entry(entry)
    except Exception:  # noqa: BLE001 - the library's have no base in common, and come when a field is asked for
        return None


def _crl(data: bytes) -> x509.CertificateRevocationList | None:
    try:
        return x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None


def _is_whole(crl: x509.CertificateRevocationList, at: datetime) -> bool:
    try:
        critical = [each for each in crl.extensions if each.critical]
        ends = crl.next_update_utc
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return not critical and (ends is None or ends > at - SLACK)


def _entry(entry: x509.RevokedCertificate) -> str:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        reason = None
    return _words(entry.revocation_date_utc, reason)


def _words(when: datetime | None, reason: x509.ReasonFlags | None) -> str:
    told = "revoked" if when is None else f"revoked on {when:%Y-%m-%d}"
    return told if reason is None else f"{told}: {reason.value}"
