"""Signals that wait."""

from __future__ import annotations

import signal
import threading

import pytest

from harmose_dft.core.interrupts import defer_interrupts


@pytest.fixture(autouse=True)
def ctrl_c() -> None:
    """As in a terminal, however the tests were started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_an_interrupt_waits_until_the_block_ends() -> None:
    reached = []

    def work() -> None:
        with defer_interrupts() as is_interrupted:
            assert not is_interrupted()
            signal.raise_signal(signal.SIGINT)
            assert is_interrupted()
            reached.append("end")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_acts_at_once() -> None:
    reached = []

    def work() -> None:
        with defer_interrupts():
            signal.raise_signal(signal.SIGINT)
            reached.append("first")
            signal.raise_signal(signal.SIGINT)
            reached.append("second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["first"]


def test_an_error_of_the_block_is_not_hidden_by_a_signal() -> None:
    def work() -> None:
        with defer_interrupts():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_have_no_signals() -> None:
    answers = []

    def work() -> None:
        with defer_interrupts() as is_interrupted:
            answers.append(is_interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
