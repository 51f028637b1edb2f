"""Namespaces and tokens: records of the system namespace, of which a gateway has a whole copy."""
