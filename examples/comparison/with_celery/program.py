from celery import group
from tasks import invert

results = group(invert.s(n) for n in range(10)).apply_async()
print(results.get(propagate=False, on_message=print))
for result in results:
    if result.failed():
        print("failed:", result.id, result.result)
