"""POLICY: the functional blocks of OCPP 2.x, a file each, a folder where one has parts.

    A  security           security events
       own_certificates/  the station's own: asked for, renewed, given up; what ends
    B  provisioning/      boot, variables, reports, network profiles, reset
    C  authorization/     tokens, the cache, master pass
    D  local_list         the list that the CSMS manages here, whole or in changes
    E  transactions/      sessions, TransactionEvents, what the hardware shall do
    F  remote_control     start, stop, unlock, trigger
    G  availability       status of connectors, ChangeAvailability
    H  reservation        an EVSE is kept for a driver until he comes
    M  certificates       roots of authorities, managed by the CSMS; ISO 15118's services are not built yet
    I  tariff: not built yet
    J  metering/          when a meter is read, and MeterValues
    K  smart_charging/    charging profiles, composite schedules, load balancing, external limits, ISO 15118 schedules
    L  firmware/          updates: fetched, checked, installed, told
    N  diagnostics/       monitors, events, logs, what is known of a customer
    O  display            what the station says to a driver; messages of the CSMS are not built yet
       lamps              what the lamp of each EVSE shows
    P  data_transfer      a vendor's own messages

A block that is not built has no routes, so that its requests are answered NotImplemented by themselves.
"""
