"""Files brought to a server and fetched from one: logs (N01), firmware (L01).

transfers    what the rest of the shell uses: a thread for each transfer, and who watches it
line         what a transfer runs over: sockets, TLS, pace; how it is cut from outside
ways         what each way of transfer can do;  http, ftp, sftp: the ways, imported when one is used
hostkeys     which SSH servers are known

A server is a stranger: whatever it says is bounded in size and time, redirects stay within their scheme, and names of
files on our side are never its choice. Invariant: credentials leave for the host of their URL alone, and for no log.
"""

from __future__ import annotations

from importlib.util import find_spec


def protocols() -> tuple[str, ...]:
    """FileTransferProtocols: what this installation can do. SFTP comes with the extra of that name."""
    return ("FTP", "FTPS", "HTTP", "HTTPS", *(("SFTP",) if find_spec("asyncssh") is not None else ()))
