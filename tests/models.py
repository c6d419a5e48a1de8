"""The device models of stations on the bench: built once for each layout, then copied: a quarter of the time.

A copy shares what never changes; values and what else can be written are its own.
"""

from __future__ import annotations

import copy

import msgspec

from device_model import build
from device_model.build import Layout
from device_model.catalogue import Catalogue
from device_model.model import DeviceModel

MOST = 64
"""So many layouts are remembered."""

_made: dict[tuple[bytes, frozenset[str]], DeviceModel] = {}


def built(catalogue: Catalogue, layout: Layout, features: frozenset[str] = frozenset()) -> DeviceModel:
    """What `device_model.build.build` gives, of the one catalogue that there is."""
    key = (msgspec.msgpack.encode(layout), features)
    if key not in _made:
        if len(_made) == MOST:
            _made.clear()
        _made[key] = build.build(catalogue, layout, features)
    made = _made[key]
    fresh = [
        msgspec.structs.replace(variable, attributes=tuple([copy.copy(each) for each in variable.attributes]))
        for variable in made
    ]
    return DeviceModel(fresh, default=made._fallback)
