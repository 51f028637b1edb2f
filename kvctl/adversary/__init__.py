"""`kvctl adversary`: hammers a few keys, and checks every answer against what is promised."""
