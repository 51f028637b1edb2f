"""The S3 home."""
