"""Numbered SQL migrations; `min_reader` names the oldest schema whose agent may still open a file made here."""
