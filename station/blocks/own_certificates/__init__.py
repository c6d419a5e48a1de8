"""Block A, the station's own certificates: asked for (signing), taken (intake), kept or not (switch), and their end."""
