"""Block J: metering.

moments.py   the reasons to read a meter, their intervals and measurands; the grid of the clock: tables and arithmetic
block.py     the rounds in which meters are read, and what is told of them
idle.py      MeterValues: of EVSEs without a transaction, and of the main meter
"""
