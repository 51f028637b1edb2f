"""A namespace as a directory: files for the values, and a manifest for all else."""
