"""JSON Schemas made from TypedDicts: mypy checks the keys in our code, the schema checks them in documents of others.

pydantic reads the types, and is imported only when a schema is made: reports are written and shown without it.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

T = TypeVar("T")


class Rule:
    """What a schema says about a value beyond its type: `Annotated[int, Rule(minimum=0)]`."""

    def __init__(self, **keywords: object) -> None:
        self.keywords: Final[Mapping[str, object]] = keywords

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Add the keywords to what pydantic makes from the type."""
        return {**handler(core_schema), **self.keywords}


def closed(shape: type[T]) -> type[T]:
    """Allow no other keys in objects of this TypedDict; texts below its keys become their descriptions."""
    return _configured(shape, extra="forbid")


def extensible(shape: type[T]) -> type[T]:
    """Allow other keys in objects of this TypedDict; texts below its keys become their descriptions."""
    return _configured(shape)


def _configured(shape: type[T], **settings: object) -> type[T]:
    # pydantic.with_config would set the same attribute, and import pydantic for it.
    shape.__pydantic_config__ = {"use_attribute_docstrings": True, **settings}  # type: ignore[attr-defined]
    return shape


def json_schema(shape: type, *, id_: str, title: str) -> dict[str, Any]:
    """Return the JSON Schema of the documents that `shape`, a TypedDict, describes."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class WithoutTitles(GenerateJsonSchema):
        """pydantic's schema without a title at each key, which would only repeat the key."""

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

        def typed_dict_schema(self, schema: Any) -> dict[str, Any]:
            return {key: value for key, value in super().typed_dict_schema(schema).items() if key != "title"}

    made = TypeAdapter(shape).json_schema(schema_generator=WithoutTitles)
    return {"$schema": DRAFT, "$id": id_, "title": title, **made}
