import asyncio
import os

from docket import Docket, Execution
from docket.execution import ExecutionState
from tasks import invert

ENDED = (ExecutionState.COMPLETED, ExecutionState.FAILED, ExecutionState.CANCELLED)


async def show(execution: Execution) -> None:
    async for event in execution.subscribe():
        print(event)
        if event["type"] == "state" and event["state"] in ENDED:
            break


async def main() -> None:
    async with Docket("numbers", os.environ["REDIS_URL"]) as docket:
        executions = [await docket.add(invert)(n) for n in range(10)]
        await asyncio.gather(*(show(execution) for execution in executions))
        results = (execution.get_result() for execution in executions)
        print(await asyncio.gather(*results, return_exceptions=True))
        for execution in executions:
            if execution.state is ExecutionState.FAILED:
                print("failed:", execution.key, execution.error)


asyncio.run(main())
