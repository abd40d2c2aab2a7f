"""Bodies decoded once, straight into their contract and strictly.

Litestar decodes a body to plain objects first and then converts those leniently: ``"quantity": "3"`` would pass.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import Request


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON body arrives as the type that its handler declares for ``data``."""

    async def json(self) -> Any:
        """The decoded body.

        Raises:
            msgspec.ValidationError: where it does not fit the contract.
            msgspec.DecodeError: where it is no JSON.
        """
        field = self.route_handler.parsed_data_field
        return _decoder(field.annotation if field else Any).decode(await self.body())


@cache
def _decoder(contract: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(contract)
