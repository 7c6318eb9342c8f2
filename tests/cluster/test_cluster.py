"""A namespace in four partitions over a cluster of three masters."""

import asyncio
from collections import Counter

import grpc
import pytest

from taskline.v1 import admin_service_pb2 as admin
from taskline.v1 import task_pb2
from taskline.v1 import task_service_pb2 as pb
from taskline_client import TaskClient
from taskline_service import TaskContext
from taskline_service.store import Keys
from taskline_service.store.keys import partition_of
from tests.cluster.conftest import PARTITIONS, Site
from tests.cluster.nodes import Cluster, Node
from tests.partitions.test_number import serving, taskline
from tests.partitions.test_watch import by_task
from tests.rpc.test_watch import watched
from tests.rpc.test_watch_filter import until_ends, watching
from tests.store.making import AN_HOUR, enqueue, new_task

State = task_pb2.Task.State


async def run_all(site: Site, ids: list[str]) -> list[State.ValueType]:
    """Enqueue tasks of these ids in one batch, and wait for their ends."""
    requests = [
        pb.EnqueueRequest(task_type="step", task_id=task_id, request_id=task_id) for task_id in ids
    ]
    await site.stack.stub.BatchEnqueue(pb.BatchEnqueueRequest(requests=requests))
    return await ends(site, ids)


async def ends(site: Site, ids: list[str]) -> list[State.ValueType]:
    waits = [pb.GetResultRequest(task_id=task_id, wait=True) for task_id in ids]
    answers = await asyncio.gather(*map(site.stack.stub.GetResult, waits))
    return [answer.task.state for answer in answers]


def completed(count: int) -> list[State.ValueType]:
    return [State.STATE_COMPLETED] * count


def of_partition(partition: int, count: int, name: str = "p") -> list[str]:
    """Ids of tasks in this partition."""
    ids = (f"{name}-{number}" for number in range(10_000))
    found = (task_id for task_id in ids if partition_of(task_id, PARTITIONS) == partition)
    return [next(found) for _ in range(count)]


@pytest.fixture
def steps(site: Site) -> None:
    """Tasks that log a line and end."""

    @site.stack.tasks.task("step")
    async def step(ctx: TaskContext) -> str:
        await ctx.log("a line")
        return ctx.task_id


@pytest.mark.usefixtures("steps")
async def test_everything_works_over_all_nodes(site: Site) -> None:
    stub, ids = site.stack.stub, [f"t-{i:02}" for i in range(60)]
    async with site.stack.worker(), watching(site.stack, task_types=["step"]) as call:
        states = await run_all(site, ids)
        heard = by_task(await until_ends(call, len(ids)))
    again = pb.EnqueueRequest(task_type="step", task_id="t-07", request_id="t-07")
    repeated = await stub.Enqueue(again)
    pages, request = list[list[str]](), pb.ListTasksRequest(page_size=25, order_by="create_time")
    while not pages or request.page_token:
        page = await stub.ListTasks(request)
        pages.append([task.id for task in page.tasks])
        request.page_token = page.next_page_token
    stats = await stub.GetStats(pb.GetStatsRequest())
    events = await stub.ListTaskEvents(pb.ListTaskEventsRequest(task_id="t-07"))
    followed = by_task(await watched(site.stack, ids))
    queues = await site.stack.admin.ListQueues(admin.ListQueuesRequest())
    info = await site.stack.admin.GetServerInfo(admin.GetServerInfoRequest())

    assert states == completed(len(ids))
    assert heard.keys() == followed.keys() == set(ids)
    assert repeated.created and repeated.task.state == State.STATE_COMPLETED
    assert [len(page) for page in pages] == [25, 25, 10]
    assert sorted(task_id for page in pages for task_id in page) == ids
    assert (stats.total, stats.success_rate, page.total_size) == (60, 1.0, 60)
    assert [event.WhichOneof("event") for event in events.events][-1] == "ended"
    assert [queue.name for queue in queues.queues] == ["default"]
    assert info.partitions == PARTITIONS


async def test_each_task_is_on_exactly_one_node(site: Site) -> None:
    ids = [f"t-{i:02}" for i in range(60)]
    await enqueue(site.store, *ids)

    places = Counter[str](), Counter[int]()
    for node in site.cluster.nodes:
        for key in await node.call("KEYS", "taskline:*}:t:*"):
            places[0][key.decode().rsplit(":", 1)[1]] += 1
            places[1][node.port] += 1

    assert places[0] == dict.fromkeys(ids, 1)
    assert len(places[1]) == 3, "every node has some"


async def test_bulk_operations_reach_all_nodes(site: Site) -> None:
    await enqueue(site.store, *(new_task(f"t-{i}", delay=AN_HOUR) for i in range(40)))
    all_of_them = pb.TaskFilter()

    cancelled = await site.stack.admin.CancelTasks(admin.CancelTasksRequest(filter=all_of_them))
    deleted = await site.stack.admin.DeleteTasks(admin.DeleteTasksRequest(filter=all_of_them))

    assert (cancelled.count, deleted.count) == (40, 40)


@pytest.mark.usefixtures("steps")
async def test_while_a_master_is_away_the_others_go_on_and_then_all_does(site: Site) -> None:
    victim = site.store.partitions[1].keys
    node = await site.cluster.owner(victim)
    reachable = [
        partition.keys.partition
        for partition in site.store.partitions
        if await site.cluster.owner(partition.keys) is not node
    ]
    assert node is not None
    running, go = asyncio.Event(), asyncio.Event()

    @site.stack.tasks.task("held")
    async def held() -> None:
        running.set()
        await go.wait()

    (kept,) = of_partition(1, 1, "kept")
    async with site.stack.worker(), watching(site.stack, task_types=["step"]) as call:
        await enqueue(site.store, new_task(kept, task_type="held"))
        await running.wait()
        await node.kill()
        go.set()  # it ends, and cannot be told yet: that holds up no other
        others = [i for p in reachable for i in of_partition(p, 5, "others")]
        states = await run_all(site, others)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await site.stack.stub.GetTask(pb.GetTaskRequest(task_id=of_partition(1, 1)[0]))
        await node.start()
        await site.cluster.whole()
        ids = [f"later-{i}" for i in range(20)]
        later = await run_all(site, ids)
        heard = by_task(await until_ends(call, len(others) + len(ids)))
        late = await ends(site, [kept])
        attempts = (await site.store.get(kept)).attempts

    assert (late, attempts) == (completed(1), 1)
    assert states == completed(len(others))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert later == completed(20)
    assert heard.keys() == {*others, *ids}


async def test_one_node_without_memory_is_told_as_a_store_that_takes_no_new_tasks(
    site: Site,
) -> None:
    keys = site.store.partitions[2].keys
    node = await site.cluster.owner(keys)
    assert node is not None
    well = await site.stack.admin.GetServerInfo(admin.GetServerInfoRequest())
    await node.call("CONFIG", "SET", "maxmemory", "1")

    ill = await site.stack.admin.GetServerInfo(admin.GetServerInfoRequest())

    await node.call("CONFIG", "SET", "maxmemory", "0")
    first = [await site.cluster.owner(part.keys) for part in site.store.partitions].index(node)
    assert well.store_refusal == ""
    assert ill.store_refusal == f"partition {first}: the store is out of memory"


@pytest.mark.usefixtures("steps")
async def test_a_replica_that_takes_over_is_found(site: Site) -> None:
    keys = site.store.partitions[1].keys
    master = await site.cluster.owner(keys)
    assert master is not None
    replica = await site.cluster.add_replica_of(master)
    ids = of_partition(1, 10)
    async with site.stack.worker():
        before = await run_all(site, ids[:5])
        await master.call("WAIT", "1", "5000")
        await master.kill()
        site.cluster.nodes.remove(master)
        await site.cluster.taken_over_by(replica, keys)
        after = await run_all(site, ids)

    assert before == completed(5)
    assert after == completed(10)


@pytest.mark.usefixtures("steps")
async def test_a_slot_that_moves_is_followed(site: Site) -> None:
    keys = site.store.partitions[2].keys
    ids = of_partition(2, 30)
    target = await _other_than(site.cluster, keys)
    async with site.stack.worker(), watching(site.stack, task_types=["step"]) as call:
        before = await run_all(site, ids[:10])
        await site.cluster.begin_move(keys, target)
        await site.cluster.move_keys(keys, target)
        await site.cluster.end_move(keys, target)
        after = await run_all(site, ids)
        heard = by_task(await until_ends(call, len(ids)))

    assert before == completed(10)
    assert after == completed(30)
    assert heard.keys() == set(ids)
    assert await site.cluster.owner(keys) is target


@pytest.mark.usefixtures("steps")
async def test_a_partition_whose_keys_are_on_their_way_waits_until_all_have_arrived(
    site: Site,
) -> None:
    """A script that found half of them would take the other half for gone."""
    keys, ids = site.store.partitions[2].keys, of_partition(2, 30)
    target = await _other_than(site.cluster, keys)
    await enqueue(site.store, *(new_task(task_id, task_type="step") for task_id in ids[:20]))

    await site.cluster.begin_move(keys, target)
    await site.cluster.move_keys(keys, target, most=25)
    refused = list[grpc.StatusCode]()
    for task_id in (ids[0], ids[19], ids[25]):
        try:
            await site.stack.stub.Enqueue(pb.EnqueueRequest(task_type="step", task_id=task_id))
        except grpc.aio.AioRpcError as error:
            refused.append(error.code())
    elsewhere = await site.store.enqueue([new_task(of_partition(0, 1)[0])])
    await site.cluster.move_keys(keys, target)
    await site.cluster.end_move(keys, target)
    async with site.stack.worker():
        states = await ends(site, ids[:20])
    tasks = await site.store.get_many(ids)

    assert refused == [grpc.StatusCode.UNAVAILABLE] * 3
    assert elsewhere[0].status.accepted
    assert states == completed(20)
    assert [task is not None for task in tasks] == [True] * 20 + [False] * 10


@pytest.mark.usefixtures("steps")
async def test_the_node_that_was_named_may_go_once_the_others_are_known(site: Site) -> None:
    (named, *_) = site.cluster.nodes
    for partition in site.store.partitions:
        if await site.cluster.owner(partition.keys) is named:
            target = await _other_than(site.cluster, partition.keys)
            await site.cluster.begin_move(partition.keys, target)
            await site.cluster.move_keys(partition.keys, target)
            await site.cluster.end_move(partition.keys, target)
    await named.kill()
    for node in site.cluster.nodes[1:]:  # every connection is lost, and finds its way again
        await node.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await node.call("CLIENT", "KILL", "TYPE", "pubsub")

    async with site.stack.worker():
        states = await run_all(site, [f"t-{i}" for i in range(20)])

    assert states == completed(20)


async def test_a_server_and_its_worker_need_one_node_to_begin_with(cluster: Cluster) -> None:
    (_, node, _) = cluster.nodes
    divided = ("--partitions", "3")
    async with (
        serving(node.url, "served", *divided) as address,
        TaskClient(address) as client,
    ):
        results = [await client.run("demo.divide", dividend=6, divisor=i) for i in (1, 2, 3)]
    where = ("--redis-url", cluster.nodes[2].url, "--namespace", "served")
    code, report, _ = await taskline("fsck", *where, *divided)
    refused, _, log = await taskline("fsck", *where)

    assert results == [6.0, 3.0, 2.0]
    assert (code, refused) == (0, 6), report
    assert "clean: 3 tasks" in report
    assert "has 3 partitions in this store, not 1" in log


async def _other_than(cluster: Cluster, keys: Keys) -> Node:
    """A node that does not have this partition; never the first, which callers are told of."""
    owner = await cluster.owner(keys)
    return next(node for node in reversed(cluster.nodes) if node is not owner)
