"""The contract suites show what they compare, as the modules of tests do."""

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
