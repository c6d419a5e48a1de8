"""Commissioning: what an installer knows becomes a station.yaml beside its secrets, tried and checked, with a record.

questions.py   what is asked                   given.py     what is said before: flags, a file, a stick, a QR code
dialogue.py    asking                          judging.py   what is wrong with an answer;  chains.py: with a certificate
keymaking.py   the station's key, its request  writing.py   the files: all of them, or nothing
steps.py       what is done afterwards         tried.py     doing it: readings.py, session.py
record.py      what was installed and found, sealed and signed
"""
