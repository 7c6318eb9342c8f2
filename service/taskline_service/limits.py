"""How large and how many: the limits that callers are told of."""

from dataclasses import dataclass
from datetime import timedelta

MIB = 1 << 20

MAX_INPUT_BYTES = 1 * MIB
MAX_RESULT_BYTES = 5 * MIB
# Beyond these, what a process holds at once has no sensible bound any more.
LARGEST_MAX_INPUT_BYTES = 16 * MIB
LARGEST_MAX_RESULT_BYTES = 64 * MIB
# The usual limit of gRPC clients, less some room for what is counted roughly.
MAX_ANSWER_BYTES = 4 * MIB - 64 * 1024
MAX_CHUNK_BYTES = 256 * 1024
# What a payload may take in an answer, in the form asked for, so that none passes 4 MiB.
MAX_ANSWERED_INPUT_BYTES = 3 * MIB
MAX_ANSWERED_RESULT_BYTES = 3 * MIB
MAX_RESULT_IN_EVENT_BYTES = 1 * MIB
MAX_PAGE_BYTES = 3 * MIB
# An output as it is kept, and in the form asked for, where a list may take five times as much.
MAX_OUTPUT_BYTES = MIB // 4
MAX_OUTPUT_IN_EVENT_BYTES = 2 * MIB

# Workers that a task may take with it before it fails, unless configured.
MAX_LOST = 3
# How often a worker may vanish with a task that it gave a process of its own, before that counts.
MAX_SPARED = 10

# Of a namespace: each takes connections of every process, and a part of every resume token.
MAX_PARTITIONS = 32
# Pairs of a task type and a queue that have tasks. Lists and statistics go through all of them.
MAX_LINES = 2000
MAX_PAUSED_QUEUES = 1000
# Of a call, names and values and 32 bytes for each.
MAX_METADATA_BYTES = 16 * 1024
# Names of task types, tasks, queues and workers, in characters.
MAX_NAME = 128
MAX_REQUEST_ID = 64
MAX_LABEL_KEY = 63
# The most levels that every JSON library is sure to read back: as deep as pydantic reads.
MAX_JSON_DEPTH = 200
# As a protobuf value: a level of objects costs three messages, and parsers stop at a hundred.
MAX_VALUE_DEPTH = 30
# Page tokens and resume tokens; ours are shorter.
MAX_TOKEN_CHARACTERS = 4096
# Of a progress report and of a line of the task's log; the rest is cut off.
MAX_MESSAGE_CHARACTERS = 500
# Of progress or of an error, as JSON.
MAX_DETAILS_BYTES = 4096
# That a retry policy may ask for; -1 is no limit.
MOST_ATTEMPTS = 1_000_000
MAX_BATCH = 1000
MAX_WATCHED_TASKS = 1000
# Of one server; an idle one takes about 30 kB there.
MAX_WATCHES = 20_000
# That a watch by filter has in mind; of those it forgets it sends a snapshot again.
MAX_FOLLOWED_BY_FILTER = 10_000
MAX_LABELS = 16
MAX_LABEL_VALUE = 255
MAX_REASON = 500
MAX_PAGE_SIZE = 1000
MAX_STATS_QUEUES = 100
# Of each condition of a filter.
MAX_FILTER_VALUES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSizes:
    """The largest payloads that a deployment takes, in bytes of JSON."""

    max_input: int = MAX_INPUT_BYTES
    max_result: int = MAX_RESULT_BYTES


DEFAULT_SIZES = PayloadSizes()

LONGEST_SPAN = timedelta(days=365)
LONGEST_STATS_WINDOW = timedelta(hours=24)
# Of one GetResult, unless configured.
LONGEST_WAIT = timedelta(minutes=5)
