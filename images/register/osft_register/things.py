"""What the registry's answers must look like before anything is taken from them."""

import re
from typing import Any

from osft_workspace import excerpt
from osft_workspace.answers import Misfit

Thing = dict[str, Any]
NUMBER = re.compile(r"[\w-]{1,64}")  # an id stands in the path of the next request
TEXTS = ("name", "state", "owner", "description", "author", "artifactType")


def check_thing(value: Any) -> Thing:
    """Return a registered model, a version or an artifact.

    Raises:
        Misfit: a field that is read has another type, or the id could lead to another path.
    """
    if not isinstance(value, dict):
        raise Misfit(f"with {excerpt(value, 60)} where an object was expected")
    number = value.get("id")
    if not (isinstance(number, str) and NUMBER.fullmatch(number)):
        raise Misfit(f"with an object whose id is {excerpt(number, 60)}, expected letters and digits")
    for field in TEXTS:
        if not isinstance(value.get(field), str | None):
            raise Misfit(f"with an object whose {field} is {excerpt(value[field], 60)}, expected a text")
    properties = value.get("customProperties")
    if properties is not None and not is_map_of_objects(properties):
        raise Misfit("with an object whose customProperties are not an object of objects")
    return value


def check_named(value: Any) -> Thing:
    """As `check_thing`, for a model or a version, which always has a name. Raises Misfit."""
    thing = check_thing(value)
    if not thing.get("name"):
        raise Misfit(f"with an object (id {excerpt(thing['id'])}) that has no name")
    return thing


def is_map_of_objects(value: Any) -> bool:
    """Return whether a value is an object that holds objects only."""
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())


def check_page(value: Any) -> tuple[list[Any], str]:
    """Return the items of one page and the token of the next. Raises Misfit."""
    if "items" not in value:
        raise Misfit("with JSON that is not a page of a registry (it has no items)")
    items, token = value["items"], value.get("nextPageToken")
    if not isinstance(items, list | None) or not isinstance(token, str | None):
        raise Misfit("with a page whose items are not a list or whose nextPageToken is not a text")
    return items or [], token or ""
