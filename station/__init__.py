"""The agent: the only package that knows OCPP. This is the map; read it second, after README.md.

A synchronous core and a thin asyncio shell. Every input (a CALL of the CSMS, a fact of the hardware, a timer that is
due) is one synchronous step inside one SQLite transaction: state and queued messages commit together or not at all.

    cli.py          the command line, in commands/; __main__.py calls it
    app.py          the wiring diagram: setup.py (of what), known.py (state objects, ports), roster.py (blocks)
    config/         station.yaml -> frozen structs
    exchange.py     the conversation with the CSMS, sans I/O: texts and inputs in, effects out
                    rendering.py: a queued message as it leaves;  stamps.py: its times
    engine.py       the step: one input -> one transaction -> reply, messages, wants
                    inputs.py: what it may be given;  recovery.py: when a step fails
    block.py        the shape of a functional block: routes, outcomes, results, reactions, guards, next_due;  refusal.py
    extension.py    what a vendor's package builds on, for messages of its own
    facts/          what happened inside the station, past tense: how one block learns what another must know
    ports.py        what a block may ask of the world;  effects.py, csms.py: how it is collected during a step
    now.py          time as an argument;  location.py: a URL of a file
    state/          what the station knows: objects that own tables and answer questions
    ocpp/           the language: frames, types, rules per version; no policy, no I/O
    blocks/         policy: one file or folder per functional block A to P
    store/          persistence: one SQLite file, the queue in it
    shell/          the only asyncio and I/O here: link, hardware thread, jobs, control socket, clock, watchdog
    demo/           a station on simulated hardware beside a CSMS of its own, shown live

A call comes in: link -> exchange (frame, rules) -> engine: BEGIN, block, reactions, COMMIT -> reply, then messages.
Hardware speaks: driver -> devices -> fact -> step -> messages.
The core wants, hardware follows: blocks state wants, devices makes them true and tells what is.
"""
