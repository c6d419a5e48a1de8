"""Block A, the station's own certificates: asked for and checked (signing), taken or given up (switch), and expiry."""
