"""Commissioning: what an installer knows becomes a station.yaml beside its secrets, checked, with a record of it.

questions.py   what is asked, and what is wrong with an answer
writing.py     the file and its password: both, or neither
record.py      what was installed and found, sealed
"""
