"""The JSON Schemas that are published, derived from type hints."""

from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema as cs

from taskline_service.tasks.published import JsonSchema

# What pydantic reads, and no less: what else is wrong with such a text, the type will say.
_DECIMAL = r"^\s*[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?\s*$"
_INTEGER_KEY = r"^\s*[+-]?\d[\d_]*(\.0*)?\s*$"
# A time with its zone, or seconds since the epoch.
_AWARE = r"[Tt _].*([Zz]|[+-]\d\d(:?\d\d)?)\s*$|^[+-]?\d+(\.\d*)?$"


class _Closed(GenerateJsonSchema):
    """Pydantic's schemas, and objects refuse unknown members unless told otherwise.

    A misspelt optional field would else be dropped in silence. Where pydantic's schema says
    less than its types check, and a pattern can say it, there is one.
    """

    def decimal_schema(self, schema: cs.DecimalSchema) -> JsonSchemaValue:
        json_schema = super().decimal_schema(schema)
        if self.mode == "validation" and not schema.get("allow_inf_nan"):
            for part in json_schema.get("anyOf", ()):
                if part.get("type") == "string":
                    part.setdefault("pattern", _DECIMAL)
        return json_schema

    def dict_schema(self, schema: cs.DictSchema) -> JsonSchemaValue:
        json_schema = super().dict_schema(schema)
        keys = schema.get("keys_schema")
        if self.mode == "validation" and keys is not None and keys["type"] == "int":
            json_schema.setdefault("propertyNames", {"pattern": _INTEGER_KEY})
        return json_schema

    def datetime_schema(self, schema: cs.DatetimeSchema) -> JsonSchemaValue:
        json_schema = super().datetime_schema(schema)
        if self.mode == "validation" and schema.get("tz_constraint") == "aware":
            json_schema["pattern"] = _AWARE
        return json_schema

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
