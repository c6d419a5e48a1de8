"""Keys and trust: private keys, certificates, TLS contexts. Knows nothing of OCPP messages.

    keystore.py   what a key store can do, whatever keeps the keys
    file_keys.py  keys in files of mode 0600
    tpm_keys.py   keys in a TPM;  tpm.py: its connection and its errors
    pkcs11_keys.py  keys in a PKCS#11 token;  cryptoki.py: the interface;  token_keys.py: for `cryptography`
    usable.py     what all of them do with a key, wherever it is
    providers.py  how TLS reaches the keys of these two;  openssl.py: what `ssl` leaves out
    software.py   what file_keys does with a key in memory
    csr.py        PKCS#10 requests
    x509.py       certificates read, checked against A00.FR.501 to 503, hashed
    path.py       from a certificate to a root, by RFC 5280
    own.py        the station's own certificates: what a signed one must be like, and where it is kept
    expiry.py     the period of a certificate, without the library
    contract.py   the contract certificate of a vehicle (ISO 15118)
    trust.py      root certificates by use, one PEM file each; which one succeeds which
    installing.py whether a root may be installed
    signature.py  who may sign firmware, and whether a file is as it was signed
    ocsp.py       whether a certificate was revoked: questions to responders, answers, CRLs
    tls.py        an SSLContext for each security profile (needs the standard library only)
    atomic.py     the one way a file is written here
    errors.py     what may go wrong
    throwaway.py  a small certificate authority for the demo and the tests, never for a station in the field

`cryptography` costs 60 ms to import, so software, csr, x509, path, contract, installing, signature, ocsp and throwaway
are imported by the functions that need them; connecting does not.
"""
