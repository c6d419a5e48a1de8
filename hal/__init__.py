"""Hardware: meters, boards, readers, locks, displays and sensors behind small protocols. Knows volts and amps, not OCPP.

Read `api` (the protocols), then `drivers/_blueprint.py` (one to copy), then `contract` (what every driver must pass).
`context` tells how a driver is made, `registry` how it is found, `buses` own the wires, `sim` is hardware without metal.
"""
