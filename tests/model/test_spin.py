"""All orders in which the moves of one task can happen, by model checking."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("task.pml")

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("cc")),
    reason="needs spin and a C compiler on the PATH (Debian: apt-get install spin gcc)",
)

# Whether a property of the model, made with these flags, holds whatever happens.
Holds = Callable[..., bool]


@pytest.fixture(scope="module")
def holds(tmp_path_factory: pytest.TempPathFactory) -> Holds:
    @cache
    def search_for(*flags: str) -> Path:
        folder = tmp_path_factory.mktemp("spin")
        generate = ["spin", *flags, "-a", str(MODEL)]
        subprocess.run(generate, cwd=folder, check=True, capture_output=True)
        # NFAIR: room for the processes there are, in the bookkeeping of fairness.
        compiled = ["cc", "-O0", "-w", "-DNFAIR=3", "-o", "pan", "pan.c"]
        subprocess.run(compiled, cwd=folder, check=True, capture_output=True)
        return folder

    def holds(property_name: str, *flags: str) -> bool:
        # -f: whoever can go on all the time does go on some time.
        search = ["./pan", "-a", "-f", "-m100000", "-N", property_name]
        ended = subprocess.run(
            search, cwd=search_for(*flags), check=True, capture_output=True, text=True
        )
        assert "max search depth too small" not in ended.stdout
        assert "errors: " in ended.stdout, ended.stdout
        return "errors: 0\n" in ended.stdout

    return holds


@pytest.mark.parametrize("property_name", ["once", "nosteal", "final", "done"])
def test_the_fence_keeps_every_promise_in_every_order_of_moves(
    holds: Holds, property_name: str
) -> None:
    assert holds(property_name)


@pytest.mark.parametrize("property_name", ["once", "nosteal"])
def test_the_fence_holds_when_a_store_that_takes_over_has_forgotten_a_claim(
    holds: Holds, property_name: str
) -> None:
    assert holds(property_name, "-DFORGETFUL")


@pytest.mark.parametrize(
    ("property_name", "flags"),
    [
        pytest.param("once", ["-DUNFENCED"], id="no fence: two outcomes"),
        pytest.param("final", ["-DUNFENCED"], id="no fence: an ended task changes"),
        pytest.param("nosteal", ["-DSTATUS_ONLY"], id="by state alone: another's attempt is ended"),
        pytest.param("nosteal", ["-DATTEMPT_ONLY", "-DFORGETFUL"], id="no nonce: after a failover"),
    ],
)
def test_without_a_part_of_the_fence_the_search_finds_what_goes_wrong(
    holds: Holds, property_name: str, flags: list[str]
) -> None:
    assert not holds(property_name, *flags)
