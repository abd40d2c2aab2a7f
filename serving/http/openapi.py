"""What the OpenAPI document says of ``POST /v1/events``: its body, which the route decodes itself, and examples."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from returnml.attributes import Attribute, Attributes, AttributeType
from returnml.ledger.events import AnyEvent
from returnml.settings import LimitSettings
from serving.http import event_examples as shown
from serving.http.problems import MEDIA_TYPE
from serving.wire import (
    EventAnswers,
    Problem,
)

_REFERENCE = "#/components/schemas/{name}"
# The service's own contract for orders to be scored has an OrderLine too.
_RENAMED = {"OrderLine": "PlacedLine"}


def _event_schemas() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of one event, and the components that it refers to."""
    [one], components = msgspec.json.schema_components([AnyEvent], ref_template=_REFERENCE)
    text = msgspec.json.encode((one, components))
    for name, new in _RENAMED.items():
        reference = _REFERENCE.format(name=name)
        text = text.replace(msgspec.json.encode(reference), msgspec.json.encode(_REFERENCE.format(name=new)))
    one, components = msgspec.json.decode(text)
    return one, {_RENAMED.get(name, name): schema for name, schema in components.items()}


_EVENT, _COMPONENTS = _event_schemas()
_EVENT_REFERENCE = {"$ref": _REFERENCE.format(name="Event")}


def _schema(json_schema: dict[str, Any]) -> Schema:
    """JSON Schema as msgspec writes it stands for a ``Schema``: the document is serialised through plain dicts."""
    return cast(Schema, json_schema)


def events_operation(limits: LimitSettings) -> type[Operation]:
    """Adds the request's body, and when to come back."""

    @dataclass
    class EventsOperation(Operation):
        def __post_init__(self) -> None:
            self.request_body = _events_body(limits)
            unavailable = (self.responses or {}).get("503")
            if isinstance(unavailable, OpenAPIResponse):
                about = "Seconds until it may be sent again."
                unavailable.headers = {"Retry-After": OpenAPIHeader(schema=_schema({"type": "integer"}), description=about)}

    return EventsOperation


def _events_body(limits: LimitSettings) -> RequestBody:
    several = {"type": "array", "maxItems": limits.events, "items": _EVENT_REFERENCE}
    examples: dict[str, Example | Reference] = {
        name: Example(summary=about, value=value) for name, (about, value) in shown.REQUESTS.items()
    }
    body = OpenAPIMediaType(schema=_schema({"oneOf": [_EVENT_REFERENCE, several]}), examples=examples)
    about = f"One event, or an array of at most {limits.events:,}."
    return RequestBody({"application/json": body}, description=about, required=True)


def _problem(description: str, example: dict[str, Any]) -> ResponseSpec:
    return ResponseSpec(Problem, description=description, media_type=MEDIA_TYPE, examples=[Example(value=example)])


def event_responses(limits: LimitSettings) -> dict[int, ResponseSpec]:
    """What the route answers, with an example each."""
    return {
        202: ResponseSpec(
            EventAnswers,
            description="Each event's answer, in the order sent. What is accepted is durable, and every score sees it.",
            examples=[Example(summary="To the batch", value=shown.BATCH_ANSWER)],
        ),
        400: _problem("The body is no JSON.", shown.NO_JSON),
        413: _problem(f"The body exceeds {limits.events_body_bytes:,} bytes.", shown.TOO_LARGE),
        422: _problem("Too many events at once.", shown.too_many(limits.events)),
        503: _problem("Nothing is acknowledged: the disk is full, the store is away. Send it again.", shown.UNAVAILABLE),
    }


def say_attributes(document: OpenAPI, attributes: Attributes) -> None:
    """Name the shop's own fields of an order and of a line in the document; where it declares none, there are none."""
    schemas = document.components.schemas if document.components else {}
    for name, is_of_order in (("Order", True), ("OrderLine", False), ("OrderPlaced", True), ("PlacedLine", False)):
        schema: Any = schemas[name]
        properties = schema["properties"] if isinstance(schema, dict) else schema.properties
        fields = {a.name: _field(a) for a in attributes if a.entity.is_of_order is is_of_order}
        if fields:
            about = "The shop's own, as its settings declare them."
            properties["attributes"] = {
                "description": about, "type": ["object", "null"], "properties": fields, "additionalProperties": False,
            }  # fmt: skip
        else:
            del properties["attributes"]


_JSON_TYPES = {
    AttributeType.NUMBER: "number",
    AttributeType.DATE: "string",
    AttributeType.CATEGORY: "string",
    AttributeType.FLAG: "boolean",
    AttributeType.TEXT: "string",
}


def _field(attribute: Attribute) -> dict[str, Any]:
    about = f"{attribute.says[0].upper()}{attribute.says[1:]}."
    found: dict[str, Any] = {"description": about, "type": [_JSON_TYPES[attribute.type], "null"]}
    return found | ({"format": "date"} if attribute.type is AttributeType.DATE else {})


def add_events(document: OpenAPI) -> None:
    """Add the events' schemas to the document, which only has those of declared parameters and answers."""
    schemas = document.components.schemas if document.components else {}
    schemas.update({name: _schema(schema) for name, schema in deepcopy(_COMPONENTS).items()})
    schemas["Event"] = _schema(_EVENT)
