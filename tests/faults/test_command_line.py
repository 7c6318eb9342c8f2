"""What people are told at a shell while the store is away."""

import json
import signal

from tests.faults.site import Site
from tests.requirements.shell import taskline


async def test_a_wait_tells_that_nothing_can_be_learned_and_not_that_the_task_goes_on(
    site: Site,
) -> None:
    await site.own.end(signal.SIGKILL)

    ran = {
        command: await taskline(site.stack.address, command, "t", "--timeout", "1")
        for command in ("wait", "watch", "result")
    }
    await site.own.start()

    assert {command: each.code for command, each in ran.items()} == dict.fromkeys(ran, 6)
    assert not any("on. Come back" in each.err for each in ran.values())
    assert all("taskline doctor" in each.err for each in ran.values())


async def test_doctor_tells_that_the_server_answers_and_how_to_mend_the_store(site: Site) -> None:
    await site.own.end(signal.SIGKILL)

    table = await taskline(site.stack.address, "doctor")
    whole = await taskline(site.stack.address, "doctor", "-o", "json")
    await site.own.start()

    assert (table.code, table.err, whole.code, whole.err) == (1, "", 1, "")
    server, store, fix = table.out.splitlines()
    assert server.split()[:2] == ["ok", "server:"]
    assert store.split()[:2] == ["failed", "store:"] and "cannot reach the store" in store
    assert "fix: " in fix and "--redis-url" in fix
    checks = {each["check"]: each["level"] for each in json.loads(whole.out)["checks"]}
    assert checks == {"server": "ok", "store": "failed"}
