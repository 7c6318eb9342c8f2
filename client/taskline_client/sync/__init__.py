"""The client for code without an event loop: scripts, Django, threads.

with TaskClient("127.0.0.1:50051") as client:
    handle = client.enqueue("text.count_words", path="README.md")
    for event in handle.watch():
        print(event)
    print(handle.result(timeout=timedelta(seconds=30)))

All that the asynchronous classes of the same names have, which say what it does; what was
awaited is waited for. Threads may share a client; Ctrl-C ends a wait at once. A process that
forks does so before its first call.
"""

from taskline_client.sync.admin import AdminClient
from taskline_client.sync.client import TaskClient
from taskline_client.sync.handle import TaskHandle

__all__ = ["AdminClient", "TaskClient", "TaskHandle"]
