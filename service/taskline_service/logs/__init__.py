"""Logging of our processes: to standard error, one record per line, as JSON or for people.

What tasks and callers wrote can neither steer the terminal nor pass for a record of its own.
A record made while the code of a task runs names the task. Imports little, so that a child
process can use it.
"""

from taskline_service.logs.about_task import NamesTask, TaskFields, about, bind
from taskline_service.logs.records import message_of
from taskline_service.logs.setup import configure

__all__ = ["NamesTask", "TaskFields", "about", "bind", "configure", "message_of"]
