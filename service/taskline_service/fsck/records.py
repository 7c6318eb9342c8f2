"""What is wrong with a task, judged by the facts about it alone."""

from collections.abc import Iterator

from taskline_service.fsck import contents, fields, places
from taskline_service.fsck.invariants import Invariant
from taskline_service.fsck.report import Offence, quoted
from taskline_service.fsck.task_facts import TaskFacts


def judge_task(task: TaskFacts, *, max_lost: int) -> Iterator[Offence]:
    """Every offence of a task; one that cannot be understood is judged no further."""
    try:
        state = task.state
    except (KeyError, ValueError):
        detail = f"is in state {quoted(task.fields.get(b'st', b''))}, which there is not"
        yield task.ill_formed(Invariant.STATE, detail)
        return
    if ill_formed := [*fields.judge_form(task, state)]:
        yield from ill_formed
        return
    yield from fields.judge_presence(task, state)
    yield from fields.judge_budgets(task, state, max_lost)
    yield from fields.judge_sequences(task)
    yield from contents.judge_error(task, state)
    yield from contents.judge_progress(task)
    yield from contents.judge_result(task, state)
    yield from places.judge_place(task, state)
    yield from places.judge_queue_timeout(task, state)
    yield from places.judge_state_index(task, state)
    spec = contents.read_spec(task)
    if isinstance(spec, Offence):
        yield spec
        return
    yield from contents.judge_spec(task, state, spec)
    yield from places.judge_label_indexes(task, spec)
