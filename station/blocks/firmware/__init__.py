"""Block L. New firmware: fetched, checked, installed, and told at each step.

block   UpdateFirmware, and what is to be done when                              L01, L02
intake  what a request wants, and why it is refused
terms   what may be done beside transactions, and whom that keeps out
jobs    what is done outside of a step: download, signature, installer
"""
