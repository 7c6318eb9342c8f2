"""How large and how many: the limits that callers are told of."""

from datetime import timedelta

MIB = 1 << 20

MAX_INPUT_BYTES = 1 * MIB
MAX_RESULT_BYTES = 5 * MIB
# What a payload may take in an answer, in the form asked for, so that none passes 4 MiB.
MAX_ANSWERED_INPUT_BYTES = 3 * MIB
MAX_ANSWERED_RESULT_BYTES = 3 * MIB
MAX_RESULT_IN_EVENT_BYTES = 1 * MIB
MAX_PAGE_BYTES = 3 * MIB
# Of all attempts in a FULL view together; the oldest lose theirs first.
MAX_TRACEBACK_BYTES_IN_HISTORY = MIB // 2

MAX_BATCH = 1000
MAX_WATCHED_TASKS = 1000
MAX_LABELS = 16
MAX_LABEL_VALUE = 255
MAX_REASON = 500
MAX_PAGE_SIZE = 1000
MAX_STATS_QUEUES = 100

LONGEST_SPAN = timedelta(days=365)
LONGEST_STATS_WINDOW = timedelta(hours=24)
LONGEST_WAIT = timedelta(minutes=5)
