"""What may go wrong with keys and certificates. Texts are for people; none contains key material.

CertsError
  NoSuchKey            the key store has no key of that name
  KeyExists            a key of that name would be overwritten
  BadCertificate       not a certificate, too weak, or of another key
  StoreFull            no room for one more certificate
  BadTlsSettings       no TLS context can be made of these settings
  KeyUnavailable       the key is in a TPM or token that cannot be used now
"""

from __future__ import annotations


class CertsError(Exception):
    """Anything that goes wrong with keys and certificates."""


class NoSuchKey(CertsError):  # noqa: N818 - reads as what it says
    """The key store has no key of that name."""


class KeyExists(CertsError):  # noqa: N818 - reads as what it says
    """There is a key of that name; a key is never overwritten, its certificate may still be in use."""


class BadCertificate(CertsError):  # noqa: N818 - reads as what it says
    """Not a certificate, too weak (A00.FR.501 to 503), or of another key."""


class BadSignature(CertsError):  # noqa: N818 - reads as what it says
    """A file was not signed by whom it should be, or was changed since."""


class StoreFull(CertsError):  # noqa: N818 - reads as what it says
    """As many certificates are installed as the station keeps."""


class BadTlsSettings(CertsError):  # noqa: N818 - reads as what it says
    """No TLS context can be made of these settings; the text names the remedy."""


class KeyUnavailable(CertsError):  # noqa: N818 - reads as what it says
    """The key cannot be used now: its TPM or token, or what is needed to reach it, is missing or refuses.

    It may be back later; nothing else is used in its place. `remedy` is for whoever has to do something about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy
