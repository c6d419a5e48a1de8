"""Block M, as far as it is for vehicles that speak ISO 15118; the root certificates are in `blocks/certificates.py`.

ev_certificates  a vehicle asks for its contract certificate          M01, M02
secc             what vehicles are shown and offered; OCSP statuses   M06
"""
