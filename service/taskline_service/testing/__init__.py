"""A Taskline in the process of your tests: real server, real worker, real store.

In conftest.py, for tests of every kind:

    from taskline_service.testing import taskline_fixture
    from words import tasks

    taskline = taskline_fixture(tasks)

    def test_words_are_counted(taskline):
        with TaskClient(taskline.address) as client:
            assert client.run("words.count", text="to be or not to be") == 6

Or, without pytest, `with serving_in_thread(tasks) as taskline:`; or, in the event loop of the
test itself, `async with serving(tasks) as taskline:`.

One Valkey or Redis server keeps the tasks of all tests of a process, in memory alone; each
service has a namespace of its own there, and sees nothing of the others.
"""

from taskline_service.testing.fixture import taskline_fixture
from taskline_service.testing.in_thread import serving_in_thread
from taskline_service.testing.service import Service, serving

__all__ = ["Service", "serving", "serving_in_thread", "taskline_fixture"]
