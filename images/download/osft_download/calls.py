"""Tools and their calls, as lists of objects: JSON text becomes what it says.

Arguments of a call become an object, as the documentation of chat templates in transformers asks for:
templates write them with `tojson`, and JSON text would be quoted a second time. OpenAI's files hold text.
"""

from typing import Any

from osft_download.exact import parse_text
from osft_download.rules import RejectedRow, keys, kind, shown

Object = dict[str, Any]
FUNCTION_CALL = "function_call"


def calls_of(where: str, value: Any) -> list[Object]:
    """Return the tool calls of a message; an empty list is the same as none.

    Raises:
        RejectedRow: they are not a list, or one is not a call of a function with a name.
    """
    if value is None or value == "":
        return []
    calls = unpacked(value)
    if not isinstance(calls, list):
        raise RejectedRow("not-a-call", f"{where} has {kind(calls)} as tool_calls, expected a list")
    return [call_of(f"tool call {number} of {where}", call) for number, call in enumerate(calls, 1)]


def call_of(where: str, call: Any) -> Object:
    """Return one call as {"type": ..., "function": {"name": ..., "arguments": {...}}}, other keys kept."""
    if not isinstance(call, dict):
        raise RejectedRow("not-a-call", f"{where} is {kind(call)}, expected an object")
    call = {key: value for key, value in call.items() if value is not None}
    if "function" not in call and "name" in call:
        moved = {key: call.pop(key) for key in ("name", "arguments") if key in call}
        call = {"type": "function", **call, "function": moved}
    function = call.get("function")
    if not isinstance(function, dict):
        raise RejectedRow(
            "not-a-call", f"{where} has no function (keys: {keys(call)}), expected one with a name"
        )
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RejectedRow("not-a-call", f"{where} has a function without a name (keys: {keys(function)})")
    arguments = arguments_of(where, function.get("arguments"))
    return {**call, "function": {**function, "arguments": arguments}}


def arguments_of(where: str, value: Any) -> Object:
    """Return the arguments of a call as an object."""
    if isinstance(value, str):
        value = unpacked(value) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        seen = "text that is not JSON" if isinstance(value, str) else kind(value)
        raise RejectedRow(
            "not-a-call", f"{where} has {seen} as arguments, expected an object or its JSON text"
        )
    return value


def tools_of(value: Any) -> list[Object] | None:
    """Return the tools of a row; null, an empty list and empty text are the same as none.

    Raises:
        RejectedRow: they are not a list of objects, nor the JSON text of one.
    """
    tools = unpacked(value) if isinstance(value, str) and value.strip() else value or None
    if tools is None or tools == [] or (isinstance(tools, str) and not tools.strip()):
        return None
    if not isinstance(tools, list):
        seen = f"text ({shown(repr(tools))})" if isinstance(tools, str) else kind(tools)
        raise RejectedRow("not-tools", f"tools are {seen}, expected a list of objects or its JSON text")
    found = [unpacked(tool) for tool in tools]
    for number, tool in enumerate(found, 1):
        if not isinstance(tool, dict) or not tool:
            raise RejectedRow("not-tools", f"tool {number} is {kind(tool)}, expected an object")
    return tools if found == tools else found


def functions_of(value: Any) -> list[Object] | None:
    """Return OpenAI's `functions`, from before there were `tools`, as tools. Raises RejectedRow."""
    found = tools_of(value)
    return found and [{"type": "function", "function": function} for function in found]


def unpacked(value: Any) -> Any:
    """Return what a JSON text says; anything else, and other text, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return parse_text(value)
    except RejectedRow as error:
        if error.rule == "too-deep":
            raise
        return value
