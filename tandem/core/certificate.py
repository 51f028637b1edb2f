"""What is told of a certificate: enough to see which one is in use, and for how long it will do."""

from dataclasses import dataclass

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Certificate:
    """Which one it is, and from when to when it is valid."""

    subject: str
    serial: str
    """In hexadecimal digits, as openssl shows it."""
    not_before_us: int
    not_after_us: int

    def days_left(self, now_us: int) -> float:
        """Until it expires; negative when it has."""
        return (self.not_after_us - now_us) / _DAY_US


@dataclass(frozen=True, slots=True)
class CertificateInUse:
    """What a server shows to those who connect."""

    certificate: Certificate
    trouble: str = ""
    """Why a newer one is not used, or this one no longer helps; empty when all is well."""
