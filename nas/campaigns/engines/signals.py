"""Handles the signals that stop a program while an engine runs."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_stopping = threading.Event()
"""Whether a signal was handled since the time of :func:`interrupted_after` began."""


_over = threading.Event()
"""Whether that time is over, so that the first signal is its own and not the user's."""


def is_stopping() -> bool:
    """Tells if a signal was handled in this run."""
    return _stopping.is_set()


def is_over() -> bool:
    """Tells if the time limit has sent a signal in this run."""
    return _over.is_set()


@contextmanager
def signals(interrupt: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Makes SIGINT, SIGTERM and SIGHUP call ``interrupt``; yields a function that repeats this.

    SIGHUP, which says that the terminal is closed, is left alone where it is ignored, as by nohup.

    An exception raised from a handler could occur anywhere inside Ray, which would lose it.
    Elsewhere, ``interrupt`` can be :func:`keyboard_interrupt`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # Python allows no handlers in this thread
        return

    def handle(number: int, frame: FrameType | None) -> None:
        _stopping.set()
        if number == signal.SIGHUP:  # a shell and the system both send it, and that is one signal
            signal.signal(number, signal.SIG_IGN)
        interrupt()

    def install() -> None:
        for each in before:
            signal.signal(each, handle)

    before = {each: signal.getsignal(each) for each in _STOPPING}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    install()
    try:
        yield install
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is not signal.SIG_IGN:
                signal.signal(each, handler)


@contextmanager
def without_hangup() -> Iterator[None]:
    """Keeps SIGHUP from this thread, and for ever from processes that are started inside."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell(text: str) -> None:
    """Writes a line for the user from a handler of signals, which must not call print."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def keyboard_interrupt() -> None:
    """Raises KeyboardInterrupt, so that any of these signals stops a run as cleanly as Ctrl-C."""
    raise KeyboardInterrupt


@contextmanager
def interrupted_after(seconds: float | None) -> Iterator[None]:
    """Stops what runs inside like Ctrl-C when so many seconds are over; None is never.

    :func:`is_over` tells if this has happened. Outside of the main thread, which alone gets
    signals, nothing is stopped. A run that is being stopped already is left to end in good order.
    """
    _over.clear()
    _stopping.clear()

    def stop() -> None:
        if not _stopping.is_set():
            _over.set()
            # To the process: it also ends a wait of its main thread.
            os.kill(os.getpid(), signal.SIGINT)

    main = threading.current_thread() is threading.main_thread()
    timer = None if seconds is None or not main else threading.Timer(max(0.0, seconds), stop)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
