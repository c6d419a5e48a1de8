"""Block K: smart charging.

plans.py       one profile as a function of time: pure
shares.py      how EVSEs share what the station may draw: pure
composite.py   all that limits an EVSE, merged: pure
validation.py  whether a profile can be accepted
external.py    limits of other systems, and what the CSMS hears of them
vehicle.py     vehicles that speak ISO 15118: needs, offers, choices
reports.py     which profiles are meant, and how they are told
ceilings.py    what each EVSE may offer now, and when that changes
block.py       what it answers and hears
"""
