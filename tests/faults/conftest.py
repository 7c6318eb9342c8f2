"""What fault tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.site import Site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A Taskline that nothing is wrong with yet."""
    async with Site.running() as running:
        yield running
