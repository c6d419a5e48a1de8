"""Hardware without metal: an EVSE and a vehicle that obey physics, behind the same protocols as real drivers.

`ev` is the vehicle, `evse` the charging point with its meter and lock, `world` all of one station and what a person can
do to it, `driver` shows the world through `hal.api`. Time is an argument; nothing here polls.
"""
