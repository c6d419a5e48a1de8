"""Components and variables: what a station can say about itself (OCPP 2.0.1 part 1 chapter 4).

Knows nothing of messages, files of the agent, clocks or the bus: a leaf package of plain data and pure functions.

    values.py      what a value may be: parse, check, normalise text by its data type
    model.py       component, variable, attribute; look up, check, set
    catalogue/     the standardised components as data (YAML for people, a generated JSON for the station)
    build.py       catalogue + layout of one station -> a model
    report.py      inventories and custom reports, page by page
    monitors.py    thresholds, deltas, periodics: pure; monitor_rules.py has the rules for one
    storage.py     the one table of values that differ from the defaults

Nothing is imported here, so that a part costs only what it needs.
"""
