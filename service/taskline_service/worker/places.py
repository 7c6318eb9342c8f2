"""Where the code of a task runs: on the event loop, in a thread, or in a child process."""

from taskline_service.execution.call import Call, Ended, Place, Reports
from taskline_service.execution.children import Children
from taskline_service.execution.code import Code
from taskline_service.execution.in_thread import run_in_thread
from taskline_service.execution.on_loop import run_on_loop
from taskline_service.task import Claim
from taskline_service.tasks import TaskDefinition, TaskRegistry
from taskline_service.tasks.declaration import Executor


class Places:
    """Decides for each claim."""

    def __init__(self, tasks: TaskRegistry, children: Children | None) -> None:
        """Without `children`, what was lost before is run like anything else.

        Raises:
            ValueError: A task needs a child process.
        """
        in_need = [task.name for task in tasks if task.executor is Executor.PROCESS]
        if in_need and children is None:
            raise ValueError(
                f"task type {in_need[0]!r} runs in child processes, which have to import its "
                "registry: pass tasks_at='module:attribute'"
            )
        self._tasks = tasks
        self._children = children

    def place_of(self, claim: Claim) -> Place:
        """Where to run it.

        What took a worker with it, or was there when another task did, runs with nothing
        beside it: so that only the culprit is lost again. What could not be stopped runs
        where it can be killed.
        """
        definition = self._tasks[claim.spec.task_type]
        if self._children is not None:
            if claim.alone:
                return self._children.run_alone
            if definition.executor is Executor.PROCESS:
                return self._children.run
        return InWorker(definition)


class InWorker:
    """The places within the process of the worker."""

    def __init__(self, definition: TaskDefinition) -> None:
        self._definition = definition

    async def __call__(self, call: Call, reports: Reports) -> Ended:
        code = Code(self._definition, call, reports)
        reports.begun()
        return await (run_on_loop if self._definition.is_async else run_in_thread)(code)
