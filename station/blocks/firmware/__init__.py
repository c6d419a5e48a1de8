"""Block L. New firmware: fetched, checked, installed, and told at each step.

requests  UpdateFirmware: judged, answered, kept                                   L01, L02
block     what is to be done of an update, and when                                L01, L02
progress  how far it has come: kept, and told
service   whom it waits for, and whom it keeps out
work      the one job that is under way, and how long it may take
intake    what a request wants, and why it is refused
terms     what may be done beside transactions
jobs      what is done outside of a step: download, signature, installer
"""
