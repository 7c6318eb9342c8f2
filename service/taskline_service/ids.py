"""Ids that the service makes: ordered by time, unguessable, safe in URLs and shells."""

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"  # base32hex: sorts as the number does
_LENGTH = 26
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
    candidate = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        if candidate >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
            candidate = _last + 1 + secrets.randbits(_STEP_BITS)
        _last = candidate
    return _text(candidate)


def _text(number: int) -> str:
    # Five bits a character; the first of them has only three.
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
