"""Hardware: meters, boards, readers, locks, displays, sensors behind small protocols. Knows volts and amps, not OCPP.

Read `api` (the protocols), then `drivers/_blueprint.py` (one to copy), then `contract` (what every driver must pass,
as tests by `pytest_plugin`). `context` tells how a driver is made, `registry` how it is found; `buses` own wires, `sim`
is hardware without metal.
"""
