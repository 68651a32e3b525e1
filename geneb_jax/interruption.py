"""A request to stop (Ctrl-C, SIGTERM): heard once, asked for where nothing is half-done.

An exception that a signal handler raises can be lost: Python drops it where the handler happens to
run inside a destructor, a weak reference's callback or the garbage collector's. So the handler
first of all notes the request, and the loops over batches, shards and units ask for it. Outside
those loops (reading, downloading, drawing a report) it also raises, so that nobody waits; should
that be lost, the request still decides the exit code.

Within an import it never raises: libraries in C++ that call Python while they are loaded end the
whole process where that fails. The request is heard again a moment later, until no import runs.

A second signal ends the process at once. Whatever is on its way to the disk is written so that an
end at any moment is safe, so nothing but the running shards or group of fits is lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

__all__ = [
    "INTERRUPTED",
    "hearing_signals",
    "is_requested",
    "loops_ask",
    "settled",
    "stop_if_requested",
]

#: Exit code of a process that was told to stop: ``EX_TEMPFAIL``, the same command goes on.
INTERRUPTED = 75

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: The alarm by which a request that came within an import is heard again; Windows has none.
_AGAIN: signal.Signals | None = getattr(signal, "SIGALRM", None)
_AGAIN_SECONDS = 0.02
_IMPORTING = "<frozen importlib._bootstrap>"
_ONCE = "geneb-jax: stopping as soon as the running step ends; a second signal ends at once.\n"
_TWICE = "geneb-jax: ended at once; everything finished is kept, the same command resumes it.\n"
_SHOW_CURSOR = "\x1b[?25h"


@dataclass(slots=True)
class _State:
    """What this process was told; one, because signals are the process's."""

    requests: int = 0
    loops_ask: bool = False
    decided: bool = False
    #: What answered the alarm before this module set one.
    alarm: Any = None


_state = _State()


def is_requested() -> bool:
    """Whether this process was told to stop."""
    return _state.requests > 0


def stop_if_requested() -> None:
    """To be called where nothing is half-done.

    Raises:
        KeyboardInterrupt: if this process was told to stop.
    """
    if _state.requests:
        raise KeyboardInterrupt


def loops_ask(asking: bool) -> None:
    """Whether a loop that calls :func:`stop_if_requested` is under way: signals only note then."""
    _state.loops_ask = asking


def settled(code: int) -> int:
    """The exit code of this process: ``code``, unless it was told to stop.

    Signals that come later change nothing.
    """
    _state.decided = True
    # Where KeyboardInterrupt has passed through exec() of a text (dataclasses use it), Python ends
    # by SIGINT whatever the code says; evaluating another text makes it forget.
    exec("pass")  # noqa: S102
    return INTERRUPTED if _state.requests else code


@contextmanager
def hearing_signals(*, to_the_end: bool) -> Iterator[None]:
    """Answer SIGINT and SIGTERM as this module says.

    Args:
        to_the_end: The process ends after the block, with the code of :func:`settled`: what comes
            while the interpreter is taken down must not change it. Else the handlers that were
            there come back.
    """
    global _state
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before, state = [(number, signal.getsignal(number)) for number in _SIGNALS], _state
    _state = _State()
    for number in _SIGNALS:
        signal.signal(number, _hear)
    try:
        yield
    finally:
        if _state.alarm is not None and _AGAIN is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            before.append((_AGAIN, _state.alarm))
        for number, handler in before:
            signal.signal(number, signal.SIG_IGN if to_the_end else handler or signal.SIG_DFL)
        if not to_the_end:
            _state = state


def _hear(number: int, frame: FrameType | None) -> None:
    if _state.decided:
        return
    _state.requests += 1
    if _state.requests > 1:
        _say((_SHOW_CURSOR if sys.__stderr__ and sys.__stderr__.isatty() else "") + _TWICE)
        os._exit(INTERRUPTED)
    if _state.loops_ask:
        _say(_ONCE)
        return
    _raise_outside_of_imports(frame)


def _hear_again(number: int, frame: FrameType | None) -> None:
    """The request that came within an import."""
    if _state.requests and not _state.decided and not _state.loops_ask:
        _raise_outside_of_imports(frame)


def _raise_outside_of_imports(frame: FrameType | None) -> None:
    while frame is not None and _AGAIN is not None:
        if frame.f_code.co_filename == _IMPORTING:
            if _state.alarm is None:
                _state.alarm = signal.signal(_AGAIN, _hear_again)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _say(text: str) -> None:
    """Write past Python's buffers, which the handler may have come into the middle of."""
    try:
        os.write(2, text.encode())
    except OSError:
        return
