"""The language: OCPP's messages, what each version allows in them, and the frames they travel in. No policy, no I/O.

    messages types enums     the 2.x vocabulary: structure alone, generated; `messages.ACTIONS` pairs the two
    base                     what they have in common; `Request[itself, its response]` for the type checker
    messages_v21 ...         what 2.1 added, imported only by who speaks it
    codec                    bytes <-> messages: `dump` and `load` for the store, `render` for the wire
    speaker                  what a version does for the station; the only thing the rest knows of versions
    v201                     the speaker of 2.0.1: `rules_v201` (generated) applied both ways
    rules                    judges a payload by a version's rules: fast yes, or the mistakes with path and code
    rpc frame                calls, results and errors on a connection, as a sans-I/O endpoint
    errors                   RpcError and the codes, apart from any version's spelling
    generate                 official JSON schemas -> vocabulary and rules (`python -m station.ocpp.generate`)

A payload's way in: `rpc` cuts it out of its frame unread, `Speaker.decode_request` judges and reads it. Its way out:
`Speaker.fit` when it is told, `Speaker.encode` when it is sent.
"""
