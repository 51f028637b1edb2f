"""Who may do what: the entrance behind all front doors, and what each caller sees."""
