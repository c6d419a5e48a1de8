"""The public keys of plug and charge, small and real; and vehicles at the bench that present what comes of them.

V2G root -> CPO 1 -> CPO 2 -> SECC              MO root -> MO sub -> contract
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certs.throwaway import Authority, Wish, names_responder, signs_only
from certs.trust import TrustStore
from hal.sim.ev import EvSpec
from hal.sim.world import Contract
from tests.bench import Bench
from tests.csms import EPOCH

EMAID = "DE-8AA-C12345678-X"
MO, V2G = "MORootCertificate", "V2GRootCertificate"
DAY = timedelta(days=1)
LIFE = (-DAY, 700 * DAY)
RESPONDER = "http://ocsp.example/"


class Pki:
    """All authorities. Certificates are valid from the bench's present on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.mo = Authority.create("MO root", folder, None, LIFE, clock=lambda: EPOCH)
        self.mo_sub = self.mo.subordinate("MO sub", _wish("mo"))
        self.v2g = Authority.create("V2G root", folder, None, LIFE, clock=lambda: EPOCH)
        self.cpo = self.v2g.subordinate("CPO 1", _wish("v2g"), below=1)
        self.cpo_sub = self.cpo.subordinate("CPO 2", _wish("cpo1"))

    def contract(self, emaid: str = EMAID, **more: Any) -> str:
        """A contract chain: leaf and sub. `by`: another authority; else as `Wish`."""
        by: Authority = more.pop("by", self.mo_sub)
        wish = {"valid": LIFE, "extensions": (names_responder(f"{RESPONDER}sub"), signs_only()), **more}
        return by.issue(emaid, Wish(**wish)).pem

    def secc(self, request: str) -> str:
        """The chain for a station's request."""
        wish = Wish(valid=LIFE, extensions=(names_responder(f"{RESPONDER}cpo2"),))
        return self.cpo_sub.sign_request(request, wish)


def _wish(name: str) -> Wish:
    return Wish(valid=LIFE, extensions=(names_responder(RESPONDER + name),))


def secc_bench(path: Path, **more: Any) -> Bench:
    """A station with two EVSEs whose board speaks ISO 15118."""
    variables = {
        "ISO15118Ctrlr.SeccId": "SECC1",
        "ISO15118Ctrlr.CountryName": "NL",
        "ISO15118Ctrlr.OrganizationName": "Operator",
        **more.pop("variables", {}),
    }
    bench = Bench(path, variables=variables, evses=2, iso15118=True, **more)
    bench.csms.clock = lambda: bench.true_utc
    return bench


def trusts(bench: Bench, *roots: str, kind: str = MO) -> None:
    """These roots are installed."""
    for pem in roots:
        TrustStore(bench.path / "roots").add(kind, pem)


def arrives(bench: Bench, chain: str, emaid: str = EMAID, evse: int = 1, *, presents: bool = False) -> None:
    """A vehicle is plugged in and presents its contract, also if that is not offered when it `presents` at any rate."""
    bench.world.plug_in(evse, 1, EvSpec(evcc_id="0A1B2C3D4E5F"), contract=Contract(emaid, chain))
    if presents:
        bench.world.present(evse, Contract(emaid, chain))
    bench.settle()


def certificates(chain: str) -> list[x509.Certificate]:
    """Those of a PEM text."""
    return x509.load_pem_x509_certificates(chain.encode())


def asked(certificate: x509.Certificate, issuer: x509.Certificate) -> dict[str, str]:
    """OCSPRequestDataType for a certificate, as the library makes it."""
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": request.issuer_name_hash.hex(),
        "issuerKeyHash": request.issuer_key_hash.hex(),
        "serialNumber": f"{request.serial_number:x}",
        "responderURL": access[0].access_location.value,
    }


def hashes_of(chain: str, root: str) -> list[dict[str, str]]:
    """What a CSMS is told of a chain."""
    found = [*certificates(chain), *certificates(root)]
    return [asked(each, above) for each, above in itertools.pairwise(found)]


class Responder:
    """Says what becomes of the certificates of some authorities, in DER."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self._authorities = authorities

    def answer(self, certificate: x509.Certificate, **more: Any) -> bytes:
        """The response about a certificate; as `add_response` has it, the bench's time given."""
        by = next(each for each in self._authorities if each._chain[0].subject == certificate.issuer)
        builder = ocsp.OCSPResponseBuilder().add_response(
            **{
                "cert": certificate,
                "issuer": by._chain[0],
                "algorithm": hashes.SHA256(),
                "cert_status": ocsp.OCSPCertStatus.GOOD,
                "this_update": EPOCH - timedelta(hours=1),
                "next_update": EPOCH + 700 * DAY,
                "revocation_time": None,
                "revocation_reason": None,
                **more,
            }
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by._chain[0])
        return builder.sign(by._key, hashes.SHA256()).public_bytes(Encoding.DER)
