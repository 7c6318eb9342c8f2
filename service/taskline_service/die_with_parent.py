"""Ends a process when its parent is gone, be it by kill -9.

Used in two ways: a process of ours calls `die_with_parent` as it starts, and a program
of somebody else is started through this file, run as a script, which then becomes that
program:

    python -I -S die_with_parent.py PARENT_PID PROGRAM ARGUMENT...

A program of its own rather than a `preexec_fn`: between fork and exec no Python code may
run in a process with threads. Only Linux can tell a process that its parent is gone;
elsewhere only a parent that is gone already is noticed.
"""

import ctypes
import os
import signal
import sys

# Tells a process of ours whose child it is.
PARENT_VARIABLE = "TASKLINE_PARENT_PID"

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, *, by: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send a signal to this process when its parent ends.

    Exits at once if the parent is gone already. The parent must have started this
    process from a thread that lives as long as itself: the kernel looks at the thread.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0) != 0:
            errno = ctypes.get_errno()
            raise OSError(errno, f"prctl(PR_SET_PDEATHSIG): {os.strerror(errno)}")
    # The parent may have ended before the request above: then nothing will be sent.
    if os.getppid() != parent_pid:
        sys.exit("taskline: the parent process is gone")


def wrapped(*command: str) -> tuple[str, ...]:
    """The command line that runs `command` as a child that dies with this process."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *command)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
