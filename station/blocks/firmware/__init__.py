"""Block L. New firmware: fetched, checked, installed, and told at each step.

block   UpdateFirmware, and what is to be done when                              L01, L02
jobs    what is done outside of a step: download, signature, installer
"""
