"""The drivers of real devices, a file each; `_blueprint.py` is the one to copy. `hal.registry` names them."""
