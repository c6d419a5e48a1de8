"""Another user of the machine, really: what he can read, write and talk to while an agent runs. Needs root."""

from __future__ import annotations

import os
import resource
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent import PASSWORD, Agent
from tests.live_csms import LiveCsms

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),  # the child takes no lock that a thread may hold
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: another user's view needs root"),
]

NOBODY = 65534


def as_nobody(deed: Callable[[], object]) -> str:
    """What becomes of a deed in a process of another user: the name of what it raised, "" if it was done."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            deed()
            os.write(writing, b"-")
        except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
            os.write(writing, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read().decode()
    assert told, "it did not come so far"
    return "" if told == "-" else told


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody may enter, as /var/lib and /etc are; and no mask that would make up for anything."""
    before, limit = os.umask(0), resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    with tempfile.TemporaryDirectory(prefix="ocpp-station-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
    os.umask(before)
    resource.setrlimit(resource.RLIMIT_CORE, limit)


@pytest.fixture
def agent(folder: Path) -> Iterator[Agent]:
    with LiveCsms(password=PASSWORD) as csms, Agent(folder, csms.url) as running:
        csms.wait_for("BootNotification")
        running.command("status")
        yield running


def spoken_to(path: Path) -> None:
    """Connect to the control socket."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.connect(str(path))


def test_no_other_user_speaks_to_the_agent(agent: Agent) -> None:
    """Who may not open the socket gives no orders and sees no state."""
    path = agent.folder / "control.sock"
    spoken_to(path)

    assert as_nobody(lambda: spoken_to(path)) == "PermissionError"
    assert as_nobody(path.unlink) == "PermissionError"


def test_no_other_user_reads_or_writes_what_the_agent_keeps(agent: Agent) -> None:
    """Database, keys, roots, logs, the password: whatever the mask was when the agent was started."""
    state = agent.folder / "state"
    kept = [each for each in state.rglob("*") if each.is_file()]
    assert any(each.name == "station.db" for each in kept)

    assert as_nobody(lambda: list(state.iterdir())) == "PermissionError"
    assert as_nobody((state / "new").touch) == "PermissionError"
    assert as_nobody(lambda: state.rename(agent.folder / "elsewhere")) == "PermissionError"
    for file in [*kept, agent.folder / "password"]:
        assert not file.stat().st_mode & 0o077, f"{file} is open to others"
        assert as_nobody(file.read_bytes) == "PermissionError"


def test_no_other_user_looks_into_the_process(agent: Agent) -> None:
    """Its memory holds the password; its arguments, which everybody may read, do not."""
    assert agent.process is not None
    process = Path(f"/proc/{agent.process.pid}")

    for name in ("mem", "environ", "maps", "auxv", "io"):
        assert as_nobody((process / name).read_bytes) == "PermissionError", name
    assert as_nobody(lambda: list((process / "fd").iterdir())) == "PermissionError"
    assert as_nobody(lambda: os.kill(int(process.name), 0)) == "PermissionError"
    assert PASSWORD.encode() not in (process / "cmdline").read_bytes()


def test_a_crash_leaves_no_memory_on_the_disk(agent: Agent) -> None:
    """Whatever the limit was: a core dump would hold the password."""
    assert agent.process is not None

    assert resource.prlimit(agent.process.pid, resource.RLIMIT_CORE)[0] == 0


def test_a_state_directory_that_others_may_write_is_closed(folder: Path) -> None:
    """Else a local user puts roots and a database of his own there. What he has put in the way is not followed."""
    state, victim = folder / "state", folder / "victim"
    state.mkdir()
    state.chmod(0o777)
    victim.write_text("precious", "utf-8")
    for name in ("essentials.json", "essentials.json.new", "station.yaml.json", "station.yaml.json.new"):
        (state / name).symlink_to(victim)

    with LiveCsms(password=PASSWORD) as csms, Agent(folder, csms.url) as agent:
        csms.wait_for("BootNotification")
        agent.until_logged("state.closed_to_others")
        agent.stop()

    assert stat.S_IMODE(state.stat().st_mode) == 0o755
    assert victim.read_text("utf-8") == "precious"


def test_a_lock_that_leads_elsewhere_is_not_followed(folder: Path) -> None:
    """The agent would make a file wherever somebody wants one."""
    state, victim = folder / "state", folder / "victim"
    state.mkdir()
    (state / "lock").symlink_to(victim)

    with LiveCsms(password=PASSWORD) as csms, Agent(folder, csms.url) as agent:
        assert agent.wait() != 0

    assert not victim.exists()
