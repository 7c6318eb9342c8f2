"""The JSON Schemas that are published, derived from type hints."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema as cs

from taskline_service.tasks.published import JsonSchema


class _Closed(GenerateJsonSchema):
    """Pydantic's schemas, and objects refuse unknown members unless told otherwise.

    A misspelt optional field would else be dropped in silence.
    """

    def model_schema(self, schema: cs.ModelSchema) -> JsonSchemaValue:
        return self._closed(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: cs.DataclassSchema) -> JsonSchemaValue:
        return self._closed(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: cs.TypedDictSchema) -> JsonSchemaValue:
        return self._closed(super().typed_dict_schema(schema), schema.get("cls"))

    def _closed(self, json_schema: JsonSchemaValue, cls: Any) -> JsonSchemaValue:
        config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None)
        if json_schema.get("type") == "object" and not (config or {}).get("extra"):
            json_schema.setdefault("additionalProperties", False)
        return json_schema


def input_schema(adapter: TypeAdapter[Any]) -> JsonSchema:
    """What the type accepts; raises ValueError if JSON Schema cannot tell."""
    return _generate(adapter, "validation")


def output_schema(adapter: TypeAdapter[Any]) -> JsonSchema:
    """What the type is written as; raises ValueError if JSON Schema cannot tell."""
    return _generate(adapter, "serialization")


def _generate(adapter: TypeAdapter[Any], mode: Any) -> JsonSchema:
    try:
        return adapter.json_schema(mode=mode, schema_generator=_Closed)
    except PydanticInvalidForJsonSchema as error:
        raise ValueError(error.message) from error
