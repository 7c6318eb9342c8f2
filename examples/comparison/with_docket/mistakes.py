from docket import Docket
from tasks import invert


async def mistakes(docket: Docket) -> None:
    await docket.add(invert)(number="three")  # another type of argument
    await docket.add(invert)(numbr=3)  # an argument that there is not
    execution = await docket.add(invert)(number=3)
    print((await execution.get_result()).upper())  # another type of result
