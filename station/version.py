"""The version of the agent, told to the CSMS as firmware version where station.yaml names none.

A constant, because asking the installed package costs 14 ms at every start; a test compares it with pyproject.toml.
"""

from __future__ import annotations

VERSION = "0.1.0"
