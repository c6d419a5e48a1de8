"""Block C. Who may charge, and who may stop.

decision   the order local list, cache, CSMS as one pure function      C01, C10, C12-C15
block      tokens presented, remote starts, the CSMS's verdicts         C01-C06, C09-C12, C16
"""
