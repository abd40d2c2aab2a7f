"""Whether a graph is all in its own bytes: ONNX lets tensors name a file instead, which no manifest vouches for.

Walks protobuf's wire format, so that serving needs no library for it. Field numbers are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator

from returnml.errors import Refusal

_LOCATION = b"location"
"""The key without which no external tensor is loaded; where it does not occur, nothing has to be walked."""

_TENSOR, _SPARSE, _ATTRIBUTE, _NODE, _GRAPH, _FUNCTION, _TRAINING, _MODEL = range(8)
_WITHIN: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class GraphError(Refusal):
    """A graph that cannot be used as it is; the message says why."""


def refuse_external(model: bytes) -> None:
    """Refuse a graph with a tensor in another file.

    Raises:
        GraphError: for such a tensor; for bytes that may name a file and cannot be read as a graph.
    """
    if _LOCATION in model and _has_external(memoryview(model), _MODEL):
        raise GraphError("a tensor of its graph lies in another file (external data); a release holds all of its model")


def _has_external(message: memoryview, kind: int) -> bool:
    within = _WITHIN.get(kind, {})
    for field, value in _fields(message):
        if kind == _TENSOR:
            if field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0):
                return True
        elif field in within and isinstance(value, memoryview) and _has_external(value, within[field]):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise GraphError("its model is no ONNX graph")
        if at + size > end:
            raise GraphError("its model is no ONNX graph")
        if wire == _BYTES:
            yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise GraphError("its model is no ONNX graph")
