"""All orders in which the moves of one task can happen, by model checking."""

import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("task.pml")

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("cc")),
    reason="needs spin and a C compiler on the PATH (Debian: apt-get install spin gcc)",
)


def holds(property_name: str, flags: list[str], folder: Path) -> bool:
    """Whether a property of the model holds, whatever happens."""
    generate = ["spin", *flags, "-a", str(MODEL)]
    subprocess.run(generate, cwd=folder, check=True, capture_output=True)
    # NFAIR: room for the processes there are, in the bookkeeping of fairness.
    compiled = ["cc", "-O1", "-w", "-DNFAIR=3", "-o", "pan", "pan.c"]
    subprocess.run(compiled, cwd=folder, check=True, capture_output=True)
    # -f: whoever can go on all the time does go on some time.
    search = ["./pan", "-a", "-f", "-m100000", "-N", property_name]
    report = subprocess.run(search, cwd=folder, check=True, capture_output=True, text=True).stdout
    assert "max search depth too small" not in report
    assert "errors: " in report, report
    return "errors: 0\n" in report


@pytest.mark.parametrize("property_name", ["once", "nosteal", "final", "done"])
def test_the_fence_keeps_every_promise_in_every_order_of_moves(
    property_name: str, tmp_path: Path
) -> None:
    assert holds(property_name, [], tmp_path)


@pytest.mark.parametrize("property_name", ["once", "nosteal"])
def test_the_fence_holds_when_a_store_that_takes_over_has_forgotten_a_claim(
    property_name: str, tmp_path: Path
) -> None:
    assert holds(property_name, ["-DFORGETFUL"], tmp_path)


@pytest.mark.parametrize(
    ("flags", "property_name"),
    [
        pytest.param(["-DUNFENCED"], "once", id="no fence: two outcomes"),
        pytest.param(["-DUNFENCED"], "final", id="no fence: an ended task changes"),
        pytest.param(["-DSTATUS_ONLY"], "nosteal", id="by state alone: another's attempt is ended"),
        pytest.param(["-DATTEMPT_ONLY", "-DFORGETFUL"], "nosteal", id="no nonce: after a failover"),
    ],
)
def test_without_a_part_of_the_fence_the_search_finds_what_goes_wrong(
    flags: list[str], property_name: str, tmp_path: Path
) -> None:
    assert not holds(property_name, flags, tmp_path)
