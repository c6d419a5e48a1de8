"""What the agent costs: CPU, memory, wake-ups, disk and bytes, beside figures of other stacks.

`make bench` starts `ocpp-station run` on simulated hardware against a CSMS that answers anything, drives it through a
fixed scenario and prints a table. CPU is told in units of a fixed workload on the same machine, because milliseconds
are not comparable; expect +-30 %. Nothing here is a test: figures are read by people.

    process.py    readings of a process from /proc, and of its database's log
    listener.py   the CSMS: fast, friendly, judges nothing
    scenario.py   the phases, each a reading before and after
    loads.py      phases with much of one thing: calls, list entries, monitors, a day's queue at once
    counted.py    instructions and calls of Python for one event or call: `python -m bench.counted`, by itself
    peers.py      what others needed, and what we want to need
"""
