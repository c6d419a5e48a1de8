"""Block E: transactions.

rules.py     start and stop points, faults, invalid tokens: tables
session.py   how a session changes with each fact, and which events that means: pure
events.py    the one place where a TransactionEvent is built
block.py     what it answers and hears; what it wants of the hardware
"""
