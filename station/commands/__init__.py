"""What the commands of `ocpp-station` do; `line.py` reads their arguments and imports the one that is asked for.

    start.py    the short way of the service          run.py      the agent, put together
    check.py    is this configuration usable here?    trials.py, pki.py, findings.py belong to it
    local.py    status and sim: a line to the control socket of a running agent, a line back
    hal.py      the drivers there are             hal_lines.py    what is on a Modbus line

control.py, status.py, network.py, keystore.py, sealing.py, signing.py, roots.py and upkeep.py are what the running
agent is given besides its parts.
"""
