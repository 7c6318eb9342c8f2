import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection_pb2 as pb

from taskline_service.errors import TaskNotFound
from taskline_service.rpc.health import SERVICE_NAME as HEALTH
from taskline_service.rpc.health import Health
from taskline_service.rpc.interceptor import RpcInterceptor
from taskline_service.rpc.reflection import SERVICE_NAMES, add_reflection

SERVICES = ["taskline.v1.TaskService", "taskline.v1.AdminService"]


async def get_task(request: bytes, context: Any) -> bytes:
    raise TaskNotFound("t-1")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server(interceptors=[RpcInterceptor()])
    await Health(SERVICES).add_to(server)
    methods: Any = {"GetTask": grpc.unary_unary_rpc_method_handler(get_task)}
    handler = grpc.method_handlers_generic_handler("taskline.v1.TaskService", methods)
    server.add_generic_rpc_handlers((handler,))
    add_reflection(server, [*SERVICES, HEALTH])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def ask(address: str, service: str, **question: Any) -> Any:
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=pb.ServerReflectionRequest.SerializeToString,
            response_deserializer=pb.ServerReflectionResponse.FromString,
        )(iter([pb.ServerReflectionRequest(**question)]))
        answer = await call.read()
        await call.code()
        return answer


def served(answer: Any) -> list[FileDescriptorProto]:
    return [
        FileDescriptorProto.FromString(data)
        for data in answer.file_descriptor_response.file_descriptor_proto
    ]


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_both_versions_list_every_service(address: str, service: str) -> None:
    answer = await ask(address, service, list_services="*")

    names = [entry.name for entry in answer.list_services_response.service]
    assert names == sorted([*SERVICES, HEALTH, *SERVICE_NAMES])


@pytest.mark.parametrize("service", SERVICE_NAMES)
@pytest.mark.parametrize(
    ("symbol", "defined_in"),
    [
        ("taskline.v1.TaskService", "taskline/v1/task_service.proto"),
        ("taskline.v1.TaskService.Enqueue", "taskline/v1/task_service.proto"),
        ("taskline.v1.Task.State", "taskline/v1/task.proto"),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.protobuf.Value", "google/protobuf/struct.proto"),
        ("grpc.health.v1.Health", "grpc_health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc_reflection/v1/reflection.proto"),
        ("grpc.reflection.v1.ErrorResponse", "grpc_reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "grpc_reflection/v1alpha/reflection.proto"),
    ],
)
async def test_a_symbol_comes_with_its_file_and_all_imports(
    address: str, service: str, symbol: str, defined_in: str
) -> None:
    answer = await ask(address, service, file_containing_symbol=symbol)

    found = served(answer)
    names = {file.name for file in found}
    assert found[0].name == defined_in
    assert all(names.issuperset(file.dependency) for file in found)


async def test_the_comments_of_the_contract_are_served(address: str) -> None:
    answer = await ask(address, SERVICE_NAMES[0], file_by_filename="taskline/v1/task.proto")

    comments = [place.leading_comments for place in served(answer)[0].source_code_info.location]
    assert any("One unit of work and what is known about it." in text for text in comments)


@pytest.mark.parametrize(
    "question",
    [
        {"file_containing_symbol": "taskline.v1.Nothing"},
        {"file_by_filename": "nothing.proto"},
        {"all_extension_numbers_of_type": "taskline.v1.Nothing"},
        {
            "file_containing_extension": pb.ExtensionRequest(
                containing_type="taskline.v1.Task", extension_number=1
            )
        },
    ],
    ids=lambda question: next(iter(question)),
)
async def test_what_is_not_there_is_an_answer_too(address: str, question: Any) -> None:
    answer = await ask(address, SERVICE_NAMES[0], **question)

    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_the_served_descriptors_are_those_of_the_stubs() -> None:
    data = (files("taskline.v1") / "descriptors.binpb").read_bytes()

    for file in FileDescriptorSet.FromString(data).file:
        if file.package == "taskline.v1":
            module = import_module(file.name.replace("/", ".").replace(".proto", "_pb2"))
            file.ClearField("source_code_info")
            assert strip_json_names(file) == FileDescriptorProto.FromString(
                module.DESCRIPTOR.serialized_pb
            )


def strip_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    """The generator writes them into descriptor sets only."""
    pending = list(file.message_type)
    while pending:
        message = pending.pop()
        pending.extend(message.nested_type)
        for field in [*message.field, *message.extension]:
            field.ClearField("json_name")
    return file


@pytest.fixture
def grpcurl() -> str:
    folders = [os.environ.get("GOBIN", ""), str(Path.home() / "go" / "bin"), os.environ["PATH"]]
    found = shutil.which("grpcurl", path=os.pathsep.join(folders))
    return found or pytest.skip("grpcurl is not installed")


@pytest.fixture
def buf() -> str:
    found = shutil.which("buf", path=str(Path(sys.executable).parent))
    return found or pytest.skip("the wheel buf-bin is not installed")


async def run(*command: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )


async def test_grpcurl_lists_and_describes_with_comments(address: str, grpcurl: str) -> None:
    listed = await run(grpcurl, "-plaintext", address, "list")
    described = await run(grpcurl, "-plaintext", address, "describe", "taskline.v1.Task")

    assert listed.stdout.split() == sorted([*SERVICES, HEALTH, *SERVICE_NAMES])
    assert "// One unit of work and what is known about it." in described.stdout


async def test_grpcurl_shows_the_details_of_an_error(address: str, grpcurl: str) -> None:
    shown = await run(
        grpcurl, "-plaintext", "-format-error", address, "taskline.v1.TaskService/GetTask"
    )

    error = json.loads(shown.stderr)
    assert error["code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND",
        "domain": "taskline",
        "metadata": {"task_id": "t-1"},
    }


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
async def test_buf_curl_lists_methods(address: str, buf: str, protocol: str) -> None:
    listed = await run(
        *(buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-methods"),
        *("--reflect-protocol", protocol, f"http://{address}"),
    )

    assert "taskline.v1.TaskService/Enqueue" in listed.stdout.split()
