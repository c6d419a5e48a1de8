"""WHAT THE STATION KNOWS: objects that own their tables, keep what is needed in memory, and answer questions.

    registration   whether the CSMS has accepted us, and why we last started
    network        the ways to the CSMS, their order, passwords
    certificates   which are installed, and which one vouches for the CSMS
    own_certificates   those of the station itself;  expiry: of whose end the CSMS was warned
    resets         what is to be reset as soon as nobody is there
    variables      the device model;  naming: between its names and those of messages
    monitoring     monitors, their alarms, the ids of events
    factory        what a factory reset forgets
    equipment      which component shows which device
    connectors     what there is, what is ordered, what the hardware shows
    sessions       who is charging where
    meters         the last readings;  sampled: as values of OCPP
    reservations   for whom an EVSE is kept;  matching: how many can be kept
    limits         what an EVSE may offer
    tokens         the authorization cache

They hold no policy and tell nobody; after a step was rolled back `load` makes memory and tables equal again.
"""
