"""Examples take as long as they take: a deadline would test the machine."""

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
