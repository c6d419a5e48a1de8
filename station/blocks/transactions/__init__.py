"""Block E: transactions.

rules.py      start and stop points, faults, invalid tokens: tables
changes.py    one fact taken into a session: pure
session.py    what follows from a change, and which events that means: pure
events.py     the one place where a TransactionEvent is built
conduct.py    carries out what follows: events, wants, rows
registers.py  what a reading of the meter means
leftover.py   what an earlier run left: ended, or resumed;  dark.py  what its register says: pure
answers.py    what the CSMS says to an event
block.py      what it answers and hears; what it wants of the hardware
"""
