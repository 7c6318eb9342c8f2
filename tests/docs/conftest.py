"""What a reader of the pages has: a clone, a store, and ports of their own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import (
    BIN,
    DEFAULT_ADDRESS,
    EXAMPLE_STORE,
    Reader,
    free_address,
    make_clone,
    make_grpcurl,
)


@pytest.fixture
def reader(tmp_path: Path, redis_url: str) -> Iterator[Reader]:
    """A reader with a fresh clone, who has yet to start anything."""
    make_clone(tmp_path / "clone")
    programs = tmp_path / "programs"
    programs.mkdir()
    if not shutil.which("grpcurl"):
        make_grpcurl(programs)
    own = {k: v for k, v in os.environ.items() if not k.startswith(("TASKLINE_", "OTEL_"))}
    address = free_address()
    environment = {
        **own,
        "PATH": os.pathsep.join([str(programs), str(BIN), os.environ["PATH"]]),
        "TASKLINE_ADDRESS": address,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TASKLINE_LISTEN": address,
    }
    addresses = {DEFAULT_ADDRESS: address, EXAMPLE_STORE: redis_url}
    with Reader.at_work(tmp_path / "clone", environment, addresses) as reader:
        yield reader
