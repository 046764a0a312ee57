from __future__ import annotations

import pytest

import zlab
from zlab.stream.budget import Account, process_held


def test_an_account_holds_no_more_than_its_limit() -> None:
    account = Account(10)
    assert account.admit(6)
    assert not account.admit(5)
    assert account.admit(4)
    account.release(10)
    assert account.held == process_held() == 0


def test_what_is_larger_than_the_limit_is_admitted_alone() -> None:
    account = Account(10)
    assert account.admit(100)
    assert not account.admit(1)
    account.release(100)


def test_accounts_share_the_budget_of_the_process() -> None:
    with zlab.settings.override(memory_budget=10):
        one, other = Account(10), Account(10)
        assert one.admit(8)
        # one that holds nothing never waits for another
        assert other.admit(5)
        assert not other.admit(1)
        one.release(8)
        assert other.admit(5)
        other.release(10)


def test_nothing_always_fits() -> None:
    account = Account(1)
    assert account.admit(1)
    assert account.admit(0)
    account.release(1)


def test_holding_gives_back_after_an_error() -> None:
    account = Account(1)

    def fail() -> None:
        with account.holding(7):
            assert account.held == 7
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert account.held == 0
