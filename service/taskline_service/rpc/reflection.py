"""Server reflection, v1 and v1alpha, that serves the comments of the contract too.

The generated modules have lost the comments, so the contract is served from the
descriptors that lie beside them, compiled with source information. What it imports
(google.protobuf, google.rpc) comes from the descriptor pool of this process.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from importlib.resources import files
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2

SERVICE_NAMES = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)

# reflection_pb2 comes without types.
Request: TypeAlias = Any
Response: TypeAlias = Any


def add_reflection(server: grpc.aio.Server, service_names: Iterable[str]) -> None:
    """Let callers list and describe the services of `server`, and reflection itself."""
    reflection = Reflection([*service_names, *SERVICE_NAMES], Descriptors.of_this_process())
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.answer_all,
        request_deserializer=_request_of,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    # The messages of v1 are those of v1alpha under another package: the same bytes.
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
            for name in SERVICE_NAMES
        )
    )


def _request_of(data: bytes) -> Request:
    """A request; one that cannot be read asks for nothing, and is told so."""
    try:
        return reflection_pb2.ServerReflectionRequest.FromString(data)
    except DecodeError:
        return reflection_pb2.ServerReflectionRequest()


class Descriptors:
    """Proto files, by name and by what they define: ours first, then the process's."""

    def __init__(self, own: Iterable[FileDescriptorProto]) -> None:
        """`own` in an order that puts imported files first."""
        self._own = {file.name: file for file in own}
        own_pool = DescriptorPool()
        for file in self._own.values():
            own_pool.AddSerializedFile(file.SerializeToString())
        self._pools = (own_pool, descriptor_pool.Default())

    @classmethod
    def of_this_process(cls) -> "Descriptors":
        """The contract with its comments, and every generated module imported so far."""
        data = (files("taskline.v1") / "descriptors.binpb").read_bytes()
        return cls([*FileDescriptorSet.FromString(data).file, _reflection_v1()])

    def with_imports(self, name: str) -> list[FileDescriptorProto]:
        """The file and all that it needs. Raises KeyError if there is none."""
        found: dict[str, FileDescriptorProto] = {}
        wanted = [name]
        while wanted:
            if (name := wanted.pop()) not in found:
                found[name] = self._file(name)
                wanted.extend(found[name].dependency)
        return list(found.values())

    def file_defining(self, symbol: str) -> str:
        """Name of the file that defines it. Raises KeyError if there is none."""
        for pool in self._pools:
            with suppress(KeyError):
                return pool.FindFileContainingSymbol(symbol).name
            with suppress(KeyError):  # which the pool does not count as a symbol
                return pool.FindMethodByName(symbol).containing_service.file.name
        raise KeyError(symbol)

    def extensions(self, message: str) -> dict[int, str]:
        """Files that extend the message, by number. Raises KeyError if it is unknown."""
        for pool in self._pools:
            with suppress(KeyError):
                extended = pool.FindMessageTypeByName(message)
                return {
                    each.number: pool.FindFileContainingSymbol(each.full_name).name
                    for each in pool.FindAllExtensions(extended)
                }
        raise KeyError(message)

    def _file(self, name: str) -> FileDescriptorProto:
        if name in self._own:
            return self._own[name]
        proto = FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(proto)
        return proto


class Reflection:
    """Answers questions about services, files and symbols."""

    def __init__(self, service_names: Iterable[str], descriptors: Descriptors) -> None:
        self._service_names = sorted(service_names)
        self._descriptors = descriptors
        self._answers: dict[str, Callable[[Any], Response]] = {
            "file_by_filename": self._file_by_filename,
            "file_containing_symbol": self._file_containing_symbol,
            "file_containing_extension": self._file_containing_extension,
            "all_extension_numbers_of_type": self._all_extension_numbers_of_type,
            "list_services": self._list_services,
        }

    async def answer_all(
        self, requests: AsyncIterator[Request], _: grpc.aio.ServicerContext[Request, Response]
    ) -> AsyncIterator[Response]:
        """The handler of ServerReflectionInfo."""
        async for request in requests:
            yield self.answer(request)

    def answer(self, request: Request) -> Response:
        """One answer; what is not found is an answer too, and the stream goes on."""
        kind = request.WhichOneof("message_request")
        if kind is None:
            response = _error(grpc.StatusCode.INVALID_ARGUMENT, "no message_request is set")
        else:
            try:
                response = self._answers[kind](getattr(request, kind))
            except KeyError as missing:
                response = _error(grpc.StatusCode.NOT_FOUND, f"not found: {missing.args[0]}")
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        return response

    def _file_by_filename(self, name: str) -> Response:
        response = reflection_pb2.ServerReflectionResponse()
        response.file_descriptor_response.file_descriptor_proto.extend(
            file.SerializeToString() for file in self._descriptors.with_imports(name)
        )
        return response

    def _file_containing_symbol(self, symbol: str) -> Response:
        return self._file_by_filename(self._descriptors.file_defining(symbol))

    def _file_containing_extension(self, wanted: Any) -> Response:
        extensions = self._descriptors.extensions(wanted.containing_type)
        return self._file_by_filename(extensions[wanted.extension_number])

    def _all_extension_numbers_of_type(self, message: str) -> Response:
        numbers = sorted(self._descriptors.extensions(message))
        response = reflection_pb2.ServerReflectionResponse()
        response.all_extension_numbers_response.base_type_name = message
        response.all_extension_numbers_response.extension_number.extend(numbers)
        return response

    def _list_services(self, _: str) -> Response:
        response = reflection_pb2.ServerReflectionResponse()
        for name in self._service_names:
            response.list_services_response.service.add(name=name)
        return response


def _error(code: grpc.StatusCode, message: str) -> Response:
    response = reflection_pb2.ServerReflectionResponse()
    response.error_response.error_code = code.value[0]
    response.error_response.error_message = message
    return response


def _reflection_v1() -> FileDescriptorProto:
    """The file that describes v1: that of v1alpha with another package."""
    proto = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    text = text_format.MessageToString(proto).replace("v1alpha", "v1")
    return text_format.Parse(text, FileDescriptorProto())
