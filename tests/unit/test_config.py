from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from taskline_service.config import (
    FsckConfig,
    ListenAddress,
    LogFormat,
    LogLevel,
    ServeConfig,
    StoreChoice,
    WorkerConfig,
    WrongOption,
)
from taskline_service.queue_order import EVERY_QUEUE, QueueChoice, QueueOrder


def test_serve_without_options_listens_on_loopback_with_an_embedded_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKLINE_DATA_DIR", str(tmp_path))

    config = ServeConfig.from_options()

    assert config == ServeConfig(
        tasks=None,
        listen=ListenAddress("127.0.0.1", 50051),
        reflection=True,
        store=StoreChoice(redis_url=None, data_dir=tmp_path),
        namespace="default",
        partitions=1,
        workers=0,
        concurrency=10,
        lease=timedelta(seconds=30),
        grace=timedelta(seconds=30),
        max_input_size=1024 * 1024,
        max_result_size=5 * 1024 * 1024,
        result_ttl=timedelta(hours=24),
        record_ttl=timedelta(days=7),
        max_lost=3,
        max_queued=0,
        longest_wait=timedelta(minutes=5),
        log_level=LogLevel.INFO,
        log_format=LogFormat.AUTO,
        metrics_listen=None,
    )


def test_with_tasks_there_is_one_worker_unless_another_number_is_given() -> None:
    assert ServeConfig.from_options(tasks="m:t").workers == 1
    assert ServeConfig.from_options(tasks="m:t", workers=0).workers == 0
    assert ServeConfig.from_options(tasks="m:t", workers=3).workers == 3


def test_a_data_directory_becomes_absolute() -> None:
    config = WorkerConfig.from_options(tasks="m:t", data_dir=Path("here"))

    assert config.store == StoreChoice(redis_url=None, data_dir=Path.cwd() / "here")


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:secret@cache.example:6380/3",
        "rediss://user:secret@cache.example/0",
        "unix:///run/redis.sock",
    ],
)
def test_a_redis_url_takes_the_place_of_the_data_directory(url: str) -> None:
    config = WorkerConfig.from_options(tasks="m:t", redis_url=url)

    assert config.store == StoreChoice(redis_url=url, data_dir=None)


def test_queues_are_names_with_commas_between() -> None:
    config = WorkerConfig.from_options(tasks="m:t", queues="text, images,text")

    assert config.queues == QueueChoice({"text": 1, "images": 1})
    assert WorkerConfig.from_options(tasks="m:t").queues == EVERY_QUEUE


def test_queues_can_have_weights() -> None:
    config = WorkerConfig.from_options(tasks="m:t", queues="urgent=6, usual=3,rest")

    assert config.queues == QueueChoice(
        {"urgent": 6, "usual": 3, "rest": 1}, order=QueueOrder.WEIGHTED
    )


def test_queues_can_have_a_strict_order() -> None:
    config = WorkerConfig.from_options(tasks="m:t", queues="urgent,usual", strict_order=True)

    assert config.queues == QueueChoice({"urgent": 1, "usual": 1}, order=QueueOrder.STRICT)


@pytest.mark.parametrize(
    "queues",
    [
        pytest.param(None, id="no queues"),
        pytest.param("a=2,b", id="weights"),
    ],
)
def test_a_strict_order_needs_queues_without_weights(queues: str | None) -> None:
    with pytest.raises(WrongOption) as refused:
        WorkerConfig.from_options(tasks="m:t", queues=queues, strict_order=True)

    assert refused.value.option == "--strict-order"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:0", "localhost", 0),
        ("127.0.0.2:65535", "127.0.0.2", 65535),
        ("[::1]:50051", "::1", 50051),
    ],
)
def test_loopback_may_be_listened_on(text: str, host: str, port: int) -> None:
    listen = ServeConfig.from_options(listen=text).listen

    assert (listen.host, listen.port) == (host, port)
    assert str(listen) == text


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "example.com:1"])
def test_listening_beyond_loopback_needs_insecure(text: str) -> None:
    with pytest.raises(WrongOption, match="add --insecure"):
        ServeConfig.from_options(listen=text)

    assert str(ServeConfig.from_options(listen=text, insecure=True).listen) == text


@pytest.mark.parametrize(
    ("options", "option", "message"),
    [
        ({"listen": "127.0.0.1"}, "--listen", "not HOST:PORT"),
        ({"listen": ":1"}, "--listen", "not HOST:PORT"),
        ({"listen": "::1:1"}, "--listen", "not HOST:PORT"),
        ({"listen": "[localhost]:1"}, "--listen", "not HOST:PORT"),
        ({"listen": "localhost:65536"}, "--listen", "not a port"),
        ({"listen": "localhost:http"}, "--listen", "not a port"),
        ({"listen": "localhost:-1"}, "--listen", "not a port"),
        ({"tasks": "module"}, "--tasks", "not MODULE:ATTRIBUTE"),
        ({"tasks": "a-file.py:tasks"}, "--tasks", "not MODULE:ATTRIBUTE"),
        ({"tasks": ""}, "--tasks", "not MODULE:ATTRIBUTE"),
        ({"workers": 1}, "--workers", "needs --tasks"),
        ({"tasks": "m:t", "workers": -1}, "--workers", "at least 0"),
        ({"concurrency": 0}, "--concurrency", "at least 1"),
        ({"max_queued": -1}, "--max-queued", "at least 0"),
        ({"max_wait_s": 0}, "--max-wait", "from 1 to 86400 seconds"),
        ({"lease_s": 0.5}, "--lease", "from 1 to 86400 seconds"),
        ({"lease_s": float("nan")}, "--lease", "from 1"),
        ({"lease_s": float("inf")}, "--lease", "from 1"),
        ({"grace_s": -1.0}, "--grace", "from 0"),
        ({"max_input_size": 0}, "--max-input-size", "from 1 to 16777216 bytes"),
        ({"max_input_size": 2**24 + 1}, "--max-input-size", "from 1"),
        ({"max_result_size": 0}, "--max-result-size", "from 1 to 67108864 bytes"),
        ({"result_ttl_s": 0.5}, "--result-ttl", "from 1 to 31536000 seconds"),
        ({"record_ttl_s": float("nan")}, "--record-ttl", "from 1"),
        ({"record_ttl_s": 3600}, "--record-ttl", "must not be shorter than --result-ttl"),
        ({"namespace": ""}, "--namespace", "1 to 63"),
        ({"namespace": "n" * 64}, "--namespace", "1 to 63"),
        ({"namespace": "a:b"}, "--namespace", "1 to 63"),
        ({"namespace": "a\n"}, "--namespace", "1 to 63"),
        ({"redis_url": "http://localhost"}, "--redis-url", "redis://"),
        ({"redis_url": "redis://", "data_dir": Path("d")}, "--redis-url", "contradicts --data-dir"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    options: dict[str, Any], option: str, message: str
) -> None:
    with pytest.raises(WrongOption, match=message) as refused:
        ServeConfig.from_options(**options)

    assert refused.value.option == option


def test_a_wrong_redis_url_is_refused_without_repeating_its_password() -> None:
    with pytest.raises(WrongOption) as refused:
        ServeConfig.from_options(redis_url="redis://:secret@cache:port/0")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "queues", ["", "a,,b", ",", "a b", "-a", "a=", "a=0", "a=1001", "a=-1", "a=1,a=2"]
)
def test_what_cannot_name_a_queue_is_refused(queues: str) -> None:
    with pytest.raises(WrongOption, match="queues"):
        WorkerConfig.from_options(tasks="m:t", queues=queues)


def test_a_log_level_is_one_of_logging() -> None:
    assert LogLevel("warning").number == 30


def test_reflection_is_off_beyond_loopback_unless_asked_for() -> None:
    beyond = "0.0.0.0:0"

    assert not ServeConfig.from_options(listen=beyond, insecure=True).reflection
    assert ServeConfig.from_options(listen=beyond, insecure=True, reflection=True).reflection
    assert not ServeConfig.from_options(reflection=False).reflection


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"snapshot": Path("f"), "redis_url": "redis://x"}, "--snapshot"),
        ({"snapshot": Path("f"), "data_dir": Path("d")}, "--snapshot"),
        ({"snapshot": Path("f"), "repair": True}, "--repair"),
        ({"confirmed": True}, "--yes"),
        ({"namespace": "*"}, "--namespace"),
    ],
)
def test_a_check_that_cannot_be_meant_is_refused(options: dict[str, Any], option: str) -> None:
    with pytest.raises(WrongOption) as refused:
        FsckConfig.from_options(**options)

    assert refused.value.option == option
