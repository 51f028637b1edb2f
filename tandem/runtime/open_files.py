"""How many files, and so connections, this process may have open."""

import resource

_FILES_MAX = 65_536


def raise_limit() -> int:
    """Raises the limit as far as the system lets this process; returns what it is now.

    The usual 1,024 date from `select`; ten thousand idle clients would leave no file for the
    journal.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _FILES_MAX if soft == resource.RLIM_INFINITY else soft
