"""The crawler program: finds the drift that nobody reported and collects tombstones."""
