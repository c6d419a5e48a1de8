"""The only asyncio and I/O of the station: what is outside comes in as inputs, what the core wants is carried out.

runner       the process: turns of the core -> effects;  turns: one input after another;  inbox: what waits, bounded
             order: effects one after another;  boot: what is asked once at the start
link         dial, keep, dial again;  dial, connection, websocket: one attempt, one connection, the library
             backoff, linkdown, names, network, probe: when, why not, where, with what, and what the server offered
             revocation: whether its certificate was revoked
devices      the hardware thread;  hub: what runs in it;  wiring, drivers: what there is
             reconcile, outlet, levels: from wanted to real, and from real to facts (pure);  metering: reading meters
             pump: acting and telling, once in a turn;  alarms: one timer for all;  calls: what drivers are asked
jobs         slow work outside a step;  transfer/: files brought and fetched
control      the control socket;  simulation: its commands for simulated hardware
clock        the wall clock and how far to trust it;  watchdog: systemd;  logs: one event a line
supervise    keeping alive what may fail;  threads, errand: work that blocks;  postponed: imports that can wait
signals      SIGTERM and SIGINT
bundle       files made one for an upload;  journal: what systemd has kept of the agent's log

Invariant: nothing here decides policy, and nothing here may stop the core but the end of the process.
"""
