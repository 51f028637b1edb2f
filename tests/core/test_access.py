"""Grants: every combination of permission, account and namespaces against every demand."""

from itertools import product

import pytest

from tandem.core.access import Grant, Permission, check_account
from tandem.errors import InvalidArgument, PermissionDenied

A, B = "a" * 32, "b" * 32
ACCOUNTS = (None, "mine", "theirs")
REACHES = (None, frozenset[str](), frozenset({A}), frozenset({A, B}))
GRANTS = [Grant("t", *parts) for parts in product(Permission, ACCOUNTS, REACHES)]


def _allows(demand: object, *arguments: object) -> bool:
    assert callable(demand)
    try:
        demand(*arguments)
    except PermissionDenied:
        return False
    return True


def test_a_namespace_is_open_to_enough_permission_within_reach() -> None:
    for grant, permission, account, namespace in product(
        GRANTS, Permission, ("mine", "theirs"), (A, B)
    ):
        within = grant.account in (None, account)
        within = within and (grant.namespaces is None or namespace in grant.namespaces)
        expected = within and grant.permission >= permission
        assert _allows(grant.demand, permission, account, namespace) is expected


def test_an_account_as_a_whole_is_open_only_to_those_who_reach_all_of_it() -> None:
    for grant, permission, account in product(GRANTS, Permission, ("mine", "theirs")):
        whole = grant.account in (None, account) and grant.namespaces is None
        expected = whole and grant.permission >= permission
        assert _allows(grant.demand_account, permission, account) is expected


def test_the_deployment_is_open_only_to_those_who_reach_everything() -> None:
    for grant, permission in product(GRANTS, Permission):
        everything = grant.account is None and grant.namespaces is None
        expected = everything and grant.permission >= permission
        assert _allows(grant.demand_deployment, permission) is expected


def test_a_refusal_says_what_is_missing() -> None:
    with pytest.raises(PermissionDenied, match="t may read, and this needs write"):
        Grant("t", Permission.READ).demand(Permission.WRITE, "mine", A)
    with pytest.raises(PermissionDenied, match="t does not reach account theirs"):
        Grant("t", Permission.READ, "mine").demand(Permission.READ, "theirs", A)
    with pytest.raises(PermissionDenied, match=f"t does not reach namespace {B}"):
        Grant("t", Permission.READ, None, frozenset({A})).demand(Permission.READ, "mine", B)


@pytest.mark.parametrize("text", ["a", "default", "0" * 32, "x" * 64, "a-b_c9"])
def test_accounts(text: str) -> None:
    assert check_account(text) == text


@pytest.mark.parametrize("text", ["", "x" * 65, "A", "a b", "a/b", "é", "a\n", "."])
def test_what_is_no_account(text: str) -> None:
    with pytest.raises(InvalidArgument, match="account: must have 1 to 64"):
        check_account(text)
