"""The scripts: on every server, after every restart, and bound to the one table of moves."""

import hashlib
import json
from importlib.resources import files

import pytest

from taskline_service.store import StoreError, TaskStore
from taskline_service.store.records import pack
from taskline_service.store.scripts import SCRIPTS, edges_in_lua, terminal_in_lua, with_shared
from taskline_service.store.values import Completion, Verdict
from taskline_service.task import EDGES, TERMINAL_STATES, TaskState
from tests.store.making import claim_one, enqueue

_LUA = files("taskline_service.store") / "lua"


@pytest.mark.parametrize("name", sorted(SCRIPTS))
async def test_the_server_takes_the_script(store: TaskStore, name: str) -> None:
    script = SCRIPTS[name]

    sha = await store.redis.call(b"SCRIPT", b"LOAD", script.source)

    assert sha.decode() == script.sha


def test_every_file_is_a_script_or_a_part_of_one() -> None:
    names = {entry.name.removesuffix(".lua") for entry in _LUA.iterdir()}

    assert {name for name in names if not name.startswith("_")} == set(SCRIPTS)
    assert {name for name in names if name.startswith("_")} == {
        *("_facts", "_history", "_moves", "_prelude", "_reading", "_soundness", "_statistics")
    }


def test_a_script_is_known_by_the_hash_of_its_text() -> None:
    assert all(
        script.sha == hashlib.sha1(script.source.encode()).hexdigest()
        for script in SCRIPTS.values()
    )


async def test_moves_go_on_when_the_server_forgets_its_scripts(store: TaskStore) -> None:
    await store.redis.call(b"SCRIPT", b"FLUSH")
    await enqueue(store, "a")
    await store.redis.call(b"SCRIPT", b"FLUSH")
    claim = await claim_one(store)
    await store.redis.call(b"SCRIPT", b"FLUSH")

    assert await store.complete([Completion(claim, b"1")]) == [Verdict.OK]
    await store.redis.call(b"SCRIPT", b"FLUSH")
    assert (await store.get_outcome("a"))[1] == b"1"


async def test_the_table_in_lua_is_the_one_in_python(store: TaskStore) -> None:
    reply = await store.redis.call(b"EVAL", edges_in_lua() + "return cjson.encode(EDGES)", b"0")

    table = json.loads(reply)
    assert {state: set(targets) for state, targets in table.items()} == {
        state.value: {target.value for target in targets} for state, targets in EDGES.items()
    }


async def test_lua_knows_the_same_terminal_states(store: TaskStore) -> None:
    script = terminal_in_lua() + "return cjson.encode(TERMINAL)"

    reply = await store.redis.call(b"EVAL", script, b"0")

    assert json.loads(reply) == dict.fromkeys(TERMINAL_STATES, True)


@pytest.mark.damages_store
@pytest.mark.parametrize("to", list(TaskState))
@pytest.mark.parametrize("state", list(TaskState))
async def test_a_move_is_made_if_there_is_an_edge_and_refused_if_not(
    store: TaskStore, state: TaskState, to: TaskState
) -> None:
    await enqueue(store, "a")
    task = store.keys.prefix + b"t:a"
    started = (b"at", b"1", b"no", b"n", b"wo", b"w", b"sa", b"1", b"ss", b"1")
    await store.redis.call(b"HSET", task, b"st", state, *started)
    body = "move(load('a'), args.to, { kind = 'state', state = args.to }); publish()"
    move = with_shared("a test's", body)
    command = (b"EVAL", move, b"1", store.keys.prefix, pack({"to": to.value}))

    if to in EDGES[state]:
        await store.redis.call(*command)
        assert await store.redis.call(b"HGET", task, b"st") == to.encode()
    else:
        with pytest.raises(StoreError, match=f"{state} -> {to}: no such move"):
            await store.redis.call(*command)
        assert await store.redis.call(b"HGET", task, b"st") == state.encode()
        assert await store.redis.call(b"GET", store.keys.revision) == b"1"
