"""Block C. Who may charge, and who may stop.

decision      the order local list, cache, CSMS as one pure function    C01-C03, C05, C10, C12-C15
block         tokens presented, remote starts                           C01-C06, C08
choosing      which EVSE is meant                                       C01
stores        what the list and the cache say; clearing the cache       C10, C11
judging       the question to the CSMS, and its answer                  C01, C09
consequences  what a verdict leads to                                   C01, C09
floating      who identified himself before he plugged in               C01
free          charging without authorization                            C01
master        master pass                                               C16
contracts     a vehicle's contract certificate                            C07
attempts      wrong key codes                                           C04
words         what a driver reads                                       C01
"""
