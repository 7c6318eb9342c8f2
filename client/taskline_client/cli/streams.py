"""The two outputs of the program: any text can be written, a reader may leave, a disk be full."""

import codecs
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import NoReturn

# What a shell reports of a program that was told by a signal that its reader left.
_READER_LEFT = 128 + 13
_USAGE = 2
# EX_IOERR, where others have a code for it: it is no end of a task.
_NOT_WRITTEN = 74
_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_ESCAPE = "taskline.escape"


@contextmanager
def safe_output() -> Iterator[None]:
    """Write what the terminal's encoding lacks as JSON does; end quietly if a reader leaves."""
    codecs.register_error(_ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=_ESCAPE)
    try:
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
    except BrokenPipeError:
        end_for_reader()
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        print(f"taskline: the output cannot be written: {error.strerror}", file=sys.stderr)
        _end_without_output(_NOT_WRITTEN)
    except UnicodeEncodeError as error:
        # Outputs take any text: it came from the command line, in another encoding.
        print(f"taskline: {error.object!r} is not valid text", file=sys.stderr)
        sys.exit(_USAGE)


def end_for_reader() -> NoReturn:
    """Nobody reads what this prints any more: end as other programs do."""
    _end_without_output(_READER_LEFT)


def _end_without_output(code: int) -> NoReturn:
    # What is still in the buffer would be told of at the interpreter's end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """As in JSON: a JSON text stays one, with the same value."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end
