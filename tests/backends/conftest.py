"""The contract suites show what they compare, as the modules of tests do."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    "tests.backends.contract",
    "tests.backends.contract_groups",
    "tests.backends.contract_objects",
    "tests.backends.contract_rows",
    "tests.backends.contract_scan",
    "tests.backends.contract_writes",
    "tests.backends.home_under_test",
)


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is kept what the S3 servers can do, so that each is probed once."""
    return tmp_path_factory.mktemp("verdicts")
