"""Which task types a worker holds back when too many of its tasks wait."""

from taskline_service.worker.slots import MOST_WAITING, MOST_WAITING_IN_PROCESSES, Slots


def slots_with(*, count: int, waiting: int, at_work: int, in_process: bool = True) -> Slots:
    """Slots of which tasks of one type, `waits`, were lent so often."""
    slots = Slots(count, on_free=lambda: None)
    for _ in range(waiting):
        slots.take(1)
        slots.lend("waits", in_process=in_process)
    slots.take(at_work)
    return slots


def test_no_more_processes_wait_than_there_are_slots_while_something_is_at_work() -> None:
    assert slots_with(count=3, waiting=2, at_work=1).held_back == frozenset()
    assert slots_with(count=3, waiting=3, at_work=1).held_back == {"waits"}


def test_where_nothing_is_at_work_tasks_of_a_type_that_was_held_back_begin_one_by_one() -> None:
    slots = slots_with(count=3, waiting=3, at_work=0)
    assert (set(slots.held_back), slots.room) == (set(), 1)

    slots.take(1)
    assert (set(slots.held_back), slots.room) == ({"waits"}, 2)


def test_no_more_processes_wait_than_there_may_be_whatever_happens() -> None:
    most = MOST_WAITING_IN_PROCESSES
    assert slots_with(count=3, waiting=most - 1, at_work=0).held_back == frozenset()
    assert slots_with(count=3, waiting=most, at_work=0).held_back == {"waits"}
    assert slots_with(count=most + 1, waiting=most, at_work=0).held_back == frozenset()


def test_far_more_tasks_wait_where_they_need_no_process() -> None:
    few = slots_with(count=3, waiting=MOST_WAITING - 1, at_work=0, in_process=False)
    assert (set(few.held_back), few.room) == (set(), 3)
    many = slots_with(count=3, waiting=MOST_WAITING, at_work=0, in_process=False)
    assert many.held_back == {"waits"}
