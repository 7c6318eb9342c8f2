from __future__ import annotations

import os
import time
from typing import Any

from celery import Celery, Task, shared_task

app = Celery("numbers", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_track_started = True


@shared_task(bind=True)
def invert(self: Task[Any, Any], number: int) -> float:
    for step in (1, 2):
        time.sleep(0.1)
        self.update_state(state="PROGRESS", meta={"current": step, "total": 2})
    return 1 / number
