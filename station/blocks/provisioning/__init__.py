"""Block B. The station introduces itself, and can be seen and steered.

boot       BootNotification in all outcomes, heartbeat, the CSMS's clock      B01-B04, G02
variables  GetVariables, SetVariables                                          B05, B06
equipment  what sensors measure and devices say of themselves
reports    GetBaseReport, GetReport                                            B07, B08
network    connection profiles and the way from one CSMS to the next           B09, B10
reset      Reset of the station or of one EVSE, at once or when idle           B11, B12
operator   the same by a person at the station, and the factory's state
delivery   how messages are queued and repeated follows the variables           E13, N07
"""
