"""What must hold in a store whenever no script runs, one member each."""

from enum import Enum


class Invariant(Enum):
    """An invariant, said in a sentence; reports show its name."""

    KNOWN_KEY = "Below the prefix there are only keys of the data model."
    KEY_TYPE = "Every key has the type of its family."
    KEY_TTL = "Statistics and descriptions of workers expire by themselves, and nothing else does."
    OWNER = "Whatever is stored about a task has a record that it belongs to."

    STATE = "Every record is in a state that there is."
    FIELDS = "A record has the fields that its state asks for, well-formed, and no others."
    SPEC = "Every record has what was enqueued, readable, and agrees with it."
    ERROR = (
        "The last failure is there, and can be read, exactly if the record says that there is one."
    )
    PROGRESS = "Progress can be read, and only a task that was started has any."
    ATTEMPTS = "Earlier attempts can be read, are in order, and are no later than the present one."
    RESULT = (
        "There is a result, of the size that the record says, until it expires; if COMPLETED only."
    )
    BUDGETS = (
        "There were as many attempts as failures and losses ask for, and no more than allowed."
    )
    SEQUENCE = "No event of a task has a higher number than its record knows."
    HISTORY = "The last event that is kept of a task is the one that its record names."

    PARTITION = (
        "A task is in the partition of its id, of as many as there are, which the first one knows."
    )
    PLACE = "A task is in the one line, due list, lease list or retention that its state asks for."
    QUEUE_TIMEOUT = "Exactly the QUEUED tasks with a queue timeout are listed for it."
    STATE_INDEX = "A task is in the index of its state and line, by creation time, and in no other."
    LABEL_INDEX = "A task is in the index of each of its labels, by creation time, and in no other."
    MEMBER = "Every member of a line or an index is a task."

    READY = "Exactly the lines with waiting tasks are ready, by the score of the first one."
    LINES = "Exactly the lines that have tasks are known."
    FAILED_BY = "The failed tasks of each error type and queue are as many as are counted."
    REVISION = "The revision is a number, and no entry of the log has a higher one."
    TYPES = "When a task type was last seen is known of exactly those that are published."
