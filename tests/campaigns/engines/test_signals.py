"""The signals that stop a run."""

import signal

import pytest

from nas.campaigns.engines.signals import keyboard_interrupt, signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_of_them_stops_it_cleanly(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals(keyboard_interrupt):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_run_under_nohup_goes_on_when_the_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals(keyboard_interrupt) as install:
            install()
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
