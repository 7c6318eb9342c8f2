"""`taskline stubs`: a module that type checkers and Python take, whatever is published."""

import asyncio
import importlib.util
import itertools
import random
import subprocess
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from taskline_client import TaskType, TaskTypeInfo
from taskline_client._stubs import module_of
from taskline_service import TaskRegistry
from tests.stack import Stack

ROOT = Path(__file__).parent.parent.parent


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.5


class Node(BaseModel):
    """A tree.

    Its nodes have "names".
    """

    name: str
    below: "list[Node]" = []
    parent: "Node | None" = None


Odd = TypedDict("Odd", {"class": str, "my field": int, "__private": bool, "ünïcode": str})


class Hiding(TypedDict):
    int: str
    number: int
    Point: int
    points: list[Point]


@dataclass
class Picture:
    size: tuple[int, int]
    points: list[Point]
    colour: Colour = Colour.RED
    tags: dict[str, int] = field(default_factory=dict)
    mode: Literal["fast", "small", 3] | None = None
    note: Annotated[str, Field(description='Shown "as is" \\ here.\nTwo lines.')] = "it's"


tasks = TaskRegistry()


@tasks.task("images.render")
def render(picture: Picture) -> list[Point]:
    """Draw a picture.

    It says \"\"\"so\"\"\" \\ here."""
    return picture.points


@tasks.task("tree.depth")
def depth(root: Node, *, limit: int | str = 10) -> Node:
    return root


@tasks.task("tree-depth")
def other_depth(value: Any) -> None:
    pass


@tasks.task("odd")
def odd(odd: Odd, hiding: Hiding, items: list[list[Point]]) -> dict[str, Point]:
    return {}


def loaded(source: str, folder: Path) -> ModuleType:
    path = folder / "image_tasks.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("image_tasks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["image_tasks"] = module
    spec.loader.exec_module(module)
    return module


def declared(module: ModuleType) -> dict[str, TaskType[Any, Any]]:
    found = [value for value in vars(module).values() if isinstance(value, TaskType)]
    return {task.task_type: task for task in found}


def names_of(*infos: TaskTypeInfo) -> dict[str, str]:
    """By the name of each, what its task type is called, or what its model has."""
    module = ModuleType("written")
    sys.modules["written"] = module
    exec(compile(module_of(infos), "written.py", "exec"), module.__dict__)  # the point
    return {
        name: getattr(value, "task_type", None) or " ".join(sorted(value.__annotations__))
        for name, value in vars(module).items()
        if name in module.__all__
    }


def mypy(folder: Path, *files: str) -> str:
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file="),
            "--cache-dir=cache",
            *files,
        ],
        cwd=folder,
        env={"MYPYPATH": f"{ROOT}/client:{ROOT}/protos"},
        capture_output=True,
        text=True,
        check=False,
    )
    return checked.stdout + checked.stderr


async def written_by_the_command(stack: Stack) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskline_client.cli", "stubs", stack.address),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


USE = """
from typing import assert_type

from image_tasks import IMAGES_RENDER, Point, Picture
from taskline_client import TaskClient


async def main(client: TaskClient) -> None:
    picture: Picture = {"size": (1, 2), "points": [{"x": 1}], "colour": "blue"}
    points = await client.run(IMAGES_RENDER, picture)
    assert_type(points, list[Point])
    await client.run(IMAGES_RENDER, {"size": (1, 2)})  # type: ignore[misc]
"""


async def test_the_module_is_typed_and_can_be_used(stack: Stack, tmp_path: Path) -> None:
    stack.tasks.include(tasks)
    source = await written_by_the_command(stack)

    module = loaded(source, tmp_path)
    (tmp_path / "use.py").write_text(USE)
    async with stack.worker():
        picture = {"size": [1, 2], "points": [{"x": 1}, {"x": 2, "y": 1.5}]}
        points = await stack.client.run(module.IMAGES_RENDER, picture)
        depth_of = declared(module)["tree.depth"]
        tree = await stack.client.run(depth_of, {"root": {"name": "a", "below": []}})

    assert points == [{"x": 1, "y": 0.5}, {"x": 2, "y": 1.5}]
    assert tree == {"name": "a", "below": [], "parent": None}
    assert mypy(tmp_path, "image_tasks.py", "use.py").startswith("Success: no issues found in 2 ")
    assert module.Node.__doc__ == 'A tree.\n\n    Its nodes have "names".\n    '


async def test_it_is_the_same_to_the_byte_each_time(stack: Stack) -> None:
    stack.tasks.include(tasks)

    first, second = await written_by_the_command(stack), await written_by_the_command(stack)

    assert first == second
    assert first.startswith('"""Task types of a Taskline service')


def test_the_order_in_which_things_are_told_does_not_matter() -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = random.sample(list(value), len(value))
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    infos = [as_told(task.info) for task in tasks]

    assert module_of(infos) == module_of(
        [
            TaskTypeInfo(
                name=info.name,
                description=info.description,
                input_schema=shuffled(info.input_schema),
                output_schema=shuffled(info.output_schema),
            )
            for info in reversed(infos)
        ]
    )


def object_of(title: str | None, **members: str) -> dict[str, Any]:
    properties = {name: {"type": kind} for name, kind in members.items()}
    return {"type": "object", "properties": properties} | ({"title": title} if title else {})


def test_a_name_never_means_something_else_once_there_are_more_types() -> None:
    infos = [
        TaskTypeInfo(name=name, description="", input_schema=schema, output_schema=None)
        for name, schema in [
            ("a.b.c", object_of("Point", x="integer")),
            ("a-b.c", object_of("Point", x="integer", y="integer")),
            ("a.b_c", object_of("Point", x="integer")),
            ("a_b.c", object_of(None, z="integer")),
            ("Point", None),
            ("point", object_of(None, z="integer")),
            ("dict", object_of("dict", d="string")),
        ]
    ]

    everything = names_of(*infos)

    assert len([name for name in everything if name.startswith("A_B_C_")]) == 4
    assert len([name for name in everything if name.startswith("Point_")]) == 2
    for count in range(1, len(infos)):
        for some in itertools.combinations(infos, count):
            for name, meaning in names_of(*some).items():
                assert everything.get(name, meaning) == meaning
    # Those that nobody else asks for stay.
    assert names_of(infos[3]).items() <= {"A_B_C": "a_b.c", "ABCInput": "z"}.items()
    assert everything["ABCInput"] == "z"


async def test_a_task_without_arguments_is_declared_as_one(stack: Stack, tmp_path: Path) -> None:
    @stack.tasks.task("demo.nothing")
    def nothing() -> int:
        return 7

    @stack.tasks.task("demo.null")
    def null(value: None, /) -> int:
        return 8

    (tmp_path / "use.py").write_text(
        """
from typing import assert_type

from image_tasks import DEMO_NOTHING, DEMO_NULL
from taskline_client import TaskClient


async def main(client: TaskClient) -> None:
    assert_type(await client.run(DEMO_NOTHING), int)
    assert_type(await client.run(DEMO_NULL, None), int)
"""
    )
    module = loaded(await written_by_the_command(stack), tmp_path)

    async with stack.worker():
        assert await stack.client.run(module.DEMO_NOTHING) == 7
        assert await stack.client.run(module.DEMO_NULL, None) == 8
    assert mypy(tmp_path, "image_tasks.py", "use.py").startswith("Success: no issues found in 2 ")


def as_told(info: Any) -> TaskTypeInfo:
    return TaskTypeInfo(
        name=info.name,
        description=info.description,
        input_schema=info.input_schema,
        output_schema=info.output_schema,
    )


HOSTILE = ['"""', "\\", "import os\nos._exit(1)", "\r\x0cx = 1", "\u2028y", "#", "'", "{names}"]
ODD = ["class", "a b", "int", "Any", "None", ""]
texts = st.one_of(st.sampled_from([*HOSTILE, *ODD]), st.text(max_size=8))
kinds = texts | st.sampled_from(["string", "integer", "null"])
pairs = {"type": ["array", "null"], "minItems": 1, "maxItems": 1}
task_names = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,9}", fullmatch=True)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts)
schemas = st.recursive(
    st.one_of(
        st.just({}),
        st.just(True),
        st.builds(lambda kind: {"type": kind}, kinds),
        st.builds(lambda text: {"$ref": f"#/$defs/{text}"}, texts),
        st.builds(lambda value: {"const": value}, values),
        st.builds(lambda value: {"enum": value}, st.lists(values, max_size=3)),
    ),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(
            lambda item: {**pairs, "prefixItems": [item]},
            inner,
        ),
        st.builds(lambda item: {"type": "object", "additionalProperties": item}, inner),
        st.builds(
            lambda members, required, title, about, definitions: {
                "type": "object",
                "properties": members,
                "required": required,
                "title": title,
                "description": about,
                "default": about,
                "additionalProperties": False,
                "$defs": definitions,
            },
            st.dictionaries(texts, inner, max_size=3),
            st.lists(texts, max_size=3),
            texts,
            texts,
            st.dictionaries(texts, inner, max_size=2),
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    schemas=st.lists(schemas, min_size=1, max_size=3),
    names=st.lists(task_names, min_size=3, max_size=3, unique=True),
    about=texts,
)
def test_hostile_schemas_and_names_give_a_module_that_only_declares(
    schemas: list[Any], names: list[str], about: str
) -> None:
    told = [schema if isinstance(schema, dict) else None for schema in schemas]
    infos = [
        TaskTypeInfo(name=name, description=about, input_schema=schema, output_schema=schema)
        for name, schema in zip(names, told, strict=False)
    ]

    source = module_of(infos)

    module = ModuleType("written")
    sys.modules["written"] = module
    exec(compile(source, "written.py", "exec"), module.__dict__)  # the point
    declared = [value for value in vars(module).values() if type(value).__name__ == "TaskType"]
    assert sorted(task.task_type for task in declared) == sorted(info.name for info in infos)
    assert sorted(module.__all__) == sorted(set(module.__all__))
    for task in declared:
        assert task._models  # their types can be read


def test_a_service_without_tasks_gives_a_module_without_any(tmp_path: Path) -> None:
    assert loaded(module_of([]), tmp_path).__all__ == []
