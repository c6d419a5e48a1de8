"""What the commands of `ocpp-station` do; `cli.py` reads their arguments and imports the one that is asked for.

run.py      the agent: puts configuration, core and shell together
check.py    is this configuration usable, here and now?
local.py    status and sim: one line to the control socket of a running agent, one back
"""
