"""How many long calls a server takes."""

import contextlib
from collections.abc import Iterator

from taskline_service.errors import TooManyWatches


class Places:
    """Room for so many watches."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """A place until the block ends.

        Raises:
            TooManyWatches: All are taken.
        """
        if self.taken >= self._most:
            raise TooManyWatches(
                f"the server follows {self._most} watches already: watch more tasks in one call",
                limit=str(self._most),
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
