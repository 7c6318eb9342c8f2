import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from taskline_service import commands, config
from taskline_service.config import LogFormat, LogLevel, ServeConfig, WorkerConfig


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    for name in ("TASKLINE_REDIS_URL", "TASKLINE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    app = typer.Typer()
    commands.register(app)
    return app


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[ServeConfig | WorkerConfig]:
    """What the commands were about to start, instead of starting it."""
    configs: list[ServeConfig | WorkerConfig] = []

    def run(config: ServeConfig | WorkerConfig) -> int:
        configs.append(config)
        return 7

    for name in ("serve", "work"):
        module = ModuleType(f"taskline_service.{name}")
        vars(module)["run"] = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return configs


Seen = list[ServeConfig | WorkerConfig]


def test_the_options_of_serve_become_its_config(app: typer.Typer, seen: Seen) -> None:
    arguments = "serve --tasks m:t --listen localhost:0 --workers 2 --lease 3 --data-dir /d"

    outcome = CliRunner().invoke(app, arguments.split())

    assert outcome.exit_code == 7
    assert seen == [
        ServeConfig.from_options(
            tasks="m:t", listen="localhost:0", workers=2, lease_s=3, data_dir=Path("/d")
        )
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("1.5", 1.5), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86400)],
)
def test_a_span_is_a_number_of_seconds_or_has_a_unit(
    app: typer.Typer, seen: Seen, text: str, seconds: float
) -> None:
    serve = ["serve", "--data-dir", "/d", "--grace", text]
    worker = ["worker", "--tasks", "m:t", "--data-dir", "/d"]

    CliRunner().invoke(app, serve)
    CliRunner().invoke(app, worker, env={"TASKLINE_GRACE": text})

    assert [each.grace for each in seen] == [timedelta(seconds=seconds)] * 2


@pytest.mark.parametrize("text", ["", "s", "3x", "1h30m", "nan", "-1"])
def test_what_is_no_span_is_refused(app: typer.Typer, seen: Seen, text: str) -> None:
    outcome = CliRunner().invoke(app, ["serve", "--data-dir", "/d", "--lease", text])

    assert (outcome.exit_code, seen) == (2, [])
    assert "--lease" in outcome.output


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_help_tells_the_default_of_each_span(app: typer.Typer, command: str) -> None:
    group: Any = typer.main.get_command(app)

    spans = [each for each in group.commands[command].params if each.metavar == "SPAN"]

    assert {each.name for each in spans} >= {"lease", "grace", "result_ttl", "record_ttl"}
    for each in spans:
        assert config.seconds(each.show_default) == each.default


@pytest.mark.parametrize("option", ["--concurrency", "--lease"])
def test_options_of_workers_are_refused_where_there_are_none(
    app: typer.Typer, seen: Seen, option: str
) -> None:
    arguments = ["serve", "--tasks", "m:t", "--workers", "0", "--data-dir", "/d"]

    outcome = CliRunner().invoke(app, [*arguments, option, "5"])
    in_environment = CliRunner().invoke(app, arguments, env={"TASKLINE_CONCURRENCY": "5"})

    assert outcome.exit_code == 2
    assert option in outcome.output and "is for workers" in outcome.output
    assert (in_environment.exit_code, len(seen)) == (7, 1)


def test_the_options_of_worker_become_its_config(app: typer.Typer, seen: Seen) -> None:
    arguments = "worker --tasks m:t --queues a,b --redis-url redis://cache --concurrency 3"

    outcome = CliRunner().invoke(app, arguments.split())

    assert outcome.exit_code == 7
    assert seen == [
        WorkerConfig.from_options(
            tasks="m:t", queues="a,b", redis_url="redis://cache", concurrency=3
        )
    ]


def test_every_option_has_an_environment_variable(app: typer.Typer, seen: Seen) -> None:
    variables = {
        "TASKLINE_TASKS": "m:t",
        "TASKLINE_LISTEN": "0.0.0.0:1",
        "TASKLINE_INSECURE": "1",
        "TASKLINE_WORKERS": "2",
        "TASKLINE_REDIS_URL": "redis://cache",
        "TASKLINE_NAMESPACE": "blue",
        "TASKLINE_CONCURRENCY": "3",
        "TASKLINE_LEASE": "4",
        "TASKLINE_GRACE": "5",
        "TASKLINE_MAX_INPUT_SIZE": "600",
        "TASKLINE_MAX_RESULT_SIZE": "700",
        "TASKLINE_RESULT_TTL": "8",
        "TASKLINE_RECORD_TTL": "9",
        "TASKLINE_MAX_QUEUED": "6",
        "TASKLINE_MAX_WAIT": "11",
        "TASKLINE_LOG_LEVEL": "debug",
        "TASKLINE_LOG_FORMAT": "console",
        "TASKLINE_METRICS_LISTEN": "127.0.0.1:12",
    }

    CliRunner().invoke(app, ["serve"], env=variables)

    assert seen == [
        ServeConfig.from_options(
            tasks="m:t",
            listen="0.0.0.0:1",
            insecure=True,
            workers=2,
            redis_url="redis://cache",
            namespace="blue",
            concurrency=3,
            lease_s=4,
            grace_s=5,
            max_input_size=600,
            max_result_size=700,
            result_ttl_s=8,
            record_ttl_s=9,
            max_queued=6,
            max_wait_s=11,
            log_level=LogLevel.DEBUG,
            log_format=LogFormat.CONSOLE,
            metrics_listen="127.0.0.1:12",
        )
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("serve --redis-url redis://cache --data-dir /d", "contradicts --data-dir"),
        ("serve --listen 0.0.0.0:1", "--listen"),
        ("serve --workers 2", "needs --tasks"),
        ("worker", "--tasks"),
    ],
)
def test_wrong_options_are_a_usage_error(
    app: typer.Typer, seen: Seen, arguments: str, message: str
) -> None:
    outcome = CliRunner().invoke(app, arguments.split(), env={"COLUMNS": "200"})

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert seen == []


def test_a_missing_library_is_answered_with_the_line_that_installs_it(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "taskline_service.work", raising=False)
    monkeypatch.setattr("taskline_service.__path__", [str(tmp_path)])
    (tmp_path / "work.py").write_text("import no_such_library\n")

    outcome = CliRunner().invoke(app, ["worker", "--tasks", "m:t", "--data-dir", "/d"])

    assert outcome.exit_code == 2
    assert "needs no_such_library" in outcome.stderr
    assert "pip install '/path/to/taskline[service" in outcome.stderr
