"""What watches the event loop, where it must not be the test's own process that ends."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from taskline_service.execution.interrupting import Interrupted, main_thread_interrupts

_STANDS_STILL = """
import asyncio, re
from taskline_service.worker.loop_watch import LoopWatch

async def main():
    watch = LoopWatch(give_up=print, standstill_limit=1.0)
    watch.start()
    await asyncio.sleep(2)  # longer than that, but not standing still
    print("alive", flush=True)
    await asyncio.to_thread(re.match, "(a|a)*c", "a" * 200)

asyncio.run(main())
"""


def test_a_process_whose_interpreter_stands_still_ends_and_shows_why() -> None:
    process = subprocess.run(
        [sys.executable, "-c", _STANDS_STILL],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )

    assert (process.returncode, process.stdout) == (1, "alive\n")
    assert "re/__init__.py" in process.stderr


def test_the_main_thread_is_interrupted_in_a_system_call_that_waits() -> None:
    with main_thread_interrupts(lambda: True) as interrupt:
        threading.Timer(0.1, interrupt).start()
        with pytest.raises(Interrupted):
            time.sleep(30)


def test_what_is_not_meant_is_not_interrupted() -> None:
    asked = threading.Event()

    def meant() -> bool:
        asked.set()
        return False

    with main_thread_interrupts(meant) as interrupt:
        threading.Timer(0.1, interrupt).start()
        while not asked.is_set():
            time.sleep(0.01)

    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
