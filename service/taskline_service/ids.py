"""Ids that the service makes: ordered by time, unguessable, safe in URLs and shells."""

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"  # base32hex: sorts as the number does
# Ten bits, and so two characters, at a time: one is made for every task.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = range(120, -1, -10)
_RANDOM_BITS = 80
_STEP_BITS = 48

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """26 characters: 48 bits of milliseconds, then 80 random ones.

    Ids made in one process grow, also within a millisecond, by random steps, so that one id
    does not tell the next.
    """
    global _last  # noqa: PLW0603  # the order of ids is a matter of the whole process
    now = time.time_ns() // 1_000_000
    with _lock:
        if now > _last >> _RANDOM_BITS:
            _last = now << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        else:
            _last += 1 + secrets.randbits(_STEP_BITS)
        return _text(_last)


def _text(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
