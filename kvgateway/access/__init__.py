"""Who may do what on this gateway, and how much of it."""
