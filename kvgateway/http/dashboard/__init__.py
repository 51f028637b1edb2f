"""A page for people about one gateway: `/dashboard`, and `/status` that it is drawn from."""
