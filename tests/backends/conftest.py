import pytest

pytest.register_assert_rewrite(
    "tests.backends.contract", "tests.backends.contract_scan", "tests.backends.contract_collect"
)
