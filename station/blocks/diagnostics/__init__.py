"""Block N. What the station watches in itself, and tells without being asked.

monitoring   monitors set, cleared, listed; values judged; periods               N02-N08
events       from what a monitor saw to NotifyEvent                              N07, N08
report       NotifyMonitoringReport, page by page                                N02
telemetry    what the hardware shows, as variables of the device model           N07
customers    what is known of a customer, told and removed                N09, N10
logs         GetLog: put together, uploaded, told                            N01
hard_wired   faults of the hardware, told whatever is set                        N07, G05
"""
