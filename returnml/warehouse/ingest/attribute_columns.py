"""SQL that reads the shop's attributes from what was delivered beside the contract (``extra``), by the rules of
``returnml.attributes.read_value``.

Files say more ways than requests do: surrounding white space, numbers and flags as texts, times where a date is meant (its
UTC day counts), and a category that passed through a column of floats (``13.0`` is ``13``). Nothing is rounded or guessed.
"""

from __future__ import annotations

from returnml.attributes import DAY, EARLIEST_DAY, LATEST_DAY, MAX_TEXT, NUMBER, Attribute, Attributes, AttributeType
from returnml.contracts.columns import FALSE_WORDS, OPEN_FLAG, ORDERS, TRUE_WORDS
from returnml.settings import SettingsError
from returnml.sql import literal, literals


def attribute_types(attributes: Attributes) -> dict[str, str]:
    """The columns of ``core.orders`` that hold them, with their SQL types.

    Raises:
        SettingsError: naming an attribute whose column is one of the contract's: no other column has its name.
    """
    known = {name.lower() for name in (*ORDERS.column_names, OPEN_FLAG)}
    for a in attributes:
        if a.column.lower() in known:
            said = f"{a.column!r} is a column of the contract, with features of its own"
            raise SettingsError(f"settings: attributes.{a.entity}.{a.own_name}: {said}")
    return {a.name: "VARCHAR" if a.is_text else "BIGINT" for a in attributes}


def category_names(attributes: Attributes) -> tuple[str, ...]:
    """Those that returns and outcomes copy from their order line, so that they can be counted by."""
    return tuple(a.name for a in attributes if a.is_used and a.type is AttributeType.CATEGORY)


def attribute_columns(attributes: Attributes, extra: str) -> dict[str, str]:
    """By column of ``core.orders`` the expression over the JSON of a row's other columns; null where it cannot be read."""
    return {a.name: _value(a, extra) for a in attributes}


def unreadable(attributes: Attributes, extra: str) -> dict[str, str]:
    """By the attribute's delivered column, as a SQL constant, whether there is a value and it cannot be read."""
    return {
        literal(f'extra."{a.column}"'): f"({_text(a, extra)} IS NOT NULL AND ({_value(a, extra)}) IS NULL)" for a in attributes
    }


def _text(attribute: Attribute, extra: str) -> str:
    """The delivered text; null for none and the empty one."""
    return f"nullif(trim({_delivered(attribute, extra)}, e' \\t\\r\\n'), '')"


def _value(attribute: Attribute, extra: str) -> str:
    text = _text(attribute, extra)
    if attribute.type is AttributeType.NUMBER:
        # 25 digits, times at most 10^4: within the 38 that a decimal has
        number = f"try_cast(regexp_extract({text}, '^{NUMBER}([.])?$', 1) AS DECIMAL(25, 9))"
        scaled = f"({number} * {10**attribute.decimals}::DECIMAL(5, 0))"
        return f"CASE WHEN {scaled} = trunc({scaled}) THEN try_cast({scaled} AS BIGINT) END"
    if attribute.type is AttributeType.DATE:
        day = f"try_cast(regexp_extract({text}, '^{DAY}([ T].*)?$', 1) AS DATE)"
        days = f"({day} - DATE '1970-01-01')::BIGINT"
        return f"CASE WHEN {day} BETWEEN {literal(EARLIEST_DAY)} AND {literal(LATEST_DAY)} THEN {days} END"
    if attribute.type is AttributeType.FLAG:
        said = f"lower({text})"
        return f"CASE WHEN {said} IN ({literals(TRUE_WORDS)}) THEN 1 WHEN {said} IN ({literals(FALSE_WORDS)}) THEN 0 END::BIGINT"
    if attribute.type is AttributeType.TEXT:
        return f"CASE WHEN {text} IS NOT NULL THEN 1 END::BIGINT"
    as_sent = f"nullif({_delivered(attribute, extra)}, '')"
    is_float = f"json_type({extra}, {_path(attribute)}) = 'DOUBLE'"
    whole = f"CASE WHEN {is_float} THEN regexp_replace({as_sent}, '[.]0$', '') ELSE {as_sent} END"
    return f"CASE WHEN length({as_sent}) <= {MAX_TEXT} THEN {whole} END"


def _delivered(attribute: Attribute, extra: str) -> str:
    return f"json_extract_string({extra}, {_path(attribute)})"


def _path(attribute: Attribute) -> str:
    return literal(f'$."{attribute.column}"')
