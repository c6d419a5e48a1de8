"""The targets there are."""

from __future__ import annotations

from tests.fuzz import files, hardware, language, trust, wire
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    **language.TARGETS,
    **trust.TARGETS,
    **hardware.TARGETS,
    **files.TARGETS,
    **wire.TARGETS,
}
