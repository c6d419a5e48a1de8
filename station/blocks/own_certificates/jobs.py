"""What is left to others: keys made, chains checked and written, keys destroyed; and what came of it."""

from __future__ import annotations

import msgspec

from station.block import Job, JobResult
from station.now import Mono, Wall
from station.state.own_certificates import Use


class MakeRequest(Job, frozen=True, kw_only=True):
    """Make a key of this name and a PKCS#10 request for it."""

    use: Use
    name: str
    common_name: str
    organization: str
    country: str = ""

    @property
    def key(self) -> str:
        """Each use has one."""
        return f"MakeRequest/{self.use}"


class RequestMade(JobResult, frozen=True, kw_only=True):
    """The request in PEM; `flaw` if it could not be made."""

    use: Use
    name: str
    csr: str = ""
    flaw: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A request that a signed certificate may belong to."""

    use: Use
    name: str
    common_name: str


class CheckChain(Job, frozen=True, kw_only=True):
    """Find out whose certificate this is, whether it is good at `at`, and write it down if it is."""

    pem: str
    candidates: tuple[Candidate, ...]
    at: Wall
    by: Mono


class ChainChecked(JobResult, frozen=True, kw_only=True):
    """A good chain lies in its file; or `flaw` says what is wrong. `by` is the job's."""

    use: Use
    name: str
    by: Mono
    flaw: str = ""
    not_before: Wall = Wall(0.0)
    not_after: Wall = Wall(0.0)
    root: str = ""


class DestroyKeys(Job, frozen=True, kw_only=True):
    """Destroy these keys and their chains; what is gone already is no error."""

    names: tuple[str, ...]


class ForgetChain(Job, frozen=True, kw_only=True):
    """Forget the chain of this key, which is asked for still: the CSMS was told that it is not taken."""

    name: str


class KeysDestroyed(JobResult, frozen=True, kw_only=True):
    """They are gone."""

    names: tuple[str, ...]
