"""The embedded object home: what S3 is elsewhere, in one SQLite file."""

from tandem.backends.file.home import FileHome

__all__ = ["FileHome"]
