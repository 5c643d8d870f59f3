"""The signals that stop a run."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from nas.campaigns.engines.signals import keyboard_interrupt, signals, without_hangup


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """Lets SIGHUP end a process, as it does by itself; these tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_of_them_stops_it_cleanly(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals(keyboard_interrupt):
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_second_hangup_is_the_same_one() -> None:
    calls = list[int]()
    with signals(lambda: calls.append(1)):
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGHUP)  # while what was stopped ends
    assert calls == [1]


def test_processes_that_are_started_without_hangup_never_get_it() -> None:
    with without_hangup():
        child = subprocess.Popen(["sleep", "60"])
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    child.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_a_run_under_nohup_goes_on_when_the_terminal_is_closed() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals(keyboard_interrupt) as install:
        install()
        signal.raise_signal(signal.SIGHUP)
