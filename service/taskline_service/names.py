"""What names may look like: those of tasks, task types and queues, and the keys of labels. Pure.

No name has a brace, a star, white space or anything beyond ASCII; in the store's keys, what a
user chose comes last.
"""

import re

from taskline_service.limits import MAX_LABEL_KEY, MAX_NAME, MAX_REQUEST_ID


def _pattern(first: str, rest: str, most: int) -> re.Pattern[str]:
    return re.compile(rf"[{first}][{rest}]{{0,{most - 1}}}", re.ASCII)


TASK_TYPE = _pattern("A-Za-z", "A-Za-z0-9._-", MAX_NAME)
TASK_ID = _pattern("A-Za-z0-9", "A-Za-z0-9._:-", MAX_NAME)
QUEUE = TASK_ID
WORKER = TASK_ID
REQUEST_ID = _pattern("A-Za-z0-9", "A-Za-z0-9._:-", MAX_REQUEST_ID)
LABEL_KEY = _pattern("A-Za-z0-9._/-", "A-Za-z0-9._/-", MAX_LABEL_KEY)

TASK_TYPE_RULE = f"must be 1 to {MAX_NAME} characters of [A-Za-z0-9._-], the first a letter"
TASK_ID_RULE = (
    f"must be 1 to {MAX_NAME} characters of [A-Za-z0-9._:-], the first a letter or a digit"
)
QUEUE_RULE = TASK_ID_RULE
WORKER_RULE = TASK_ID_RULE
REQUEST_ID_RULE = (
    f"must be 1 to {MAX_REQUEST_ID} characters of [A-Za-z0-9._:-], the first a letter or a digit"
)
LABEL_KEY_RULE = f"keys must be 1 to {MAX_LABEL_KEY} characters of [A-Za-z0-9._/-]"
