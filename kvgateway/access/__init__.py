"""Who may do what, and how much: the entrance behind all front doors, and what callers see."""
