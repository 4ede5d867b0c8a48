"""A faster import of transformers, which otherwise costs every process of a stage two seconds of CPU.

transformers 5 finds its classes by reading the 1,500 files of its models twice, line by line, and imports
scikit-learn and scipy where they are installed. It also lists the files of every installed package.
"""

import functools
from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.metadata import packages_distributions
from types import ModuleType

READS = "transformers.utils.import_utils"
"""The module that does all of that."""
ALL = "__all__"


class Later(UserDict[str, list[str]]):
    """What `packages_distributions` returns, asked for when a value is first needed."""

    def __init__(self) -> None:
        """Leave `data` to be made."""

    @functools.cached_property
    def data(self) -> dict[str, list[str]]:  # type: ignore[override]
        """Return the names of the packages that bring each module."""
        return dict(packages_distributions())


@contextmanager
def listed_later(name: str) -> Iterator[None]:
    """While a module is loaded, let it list packages when it needs them, if it is the one that lists them."""
    if name == READS:
        vars(metadata)["packages_distributions"] = Later
    try:
        yield
    finally:
        vars(metadata)["packages_distributions"] = packages_distributions


def read_once(module: ModuleType) -> None:
    """Let that module read each file once, only its `__all__`, and not scikit-learn."""
    names = getattr(module, "fetch__all__", None)
    scan = getattr(getattr(module, "create_import_structure_from_path", None), "__wrapped__", None)
    if names is None or scan is None:
        return

    def fetch__all__(content: str) -> list[str]:
        start = content.rfind(f"\n{ALL}") + 1
        return list(names(content[start:])) if start or content.startswith(ALL) else []

    vars(module)["fetch__all__"] = fetch__all__
    # The cache that it has holds 128 folders, fewer than there are models.
    vars(module)["create_import_structure_from_path"] = functools.cache(scan)
    # Only assisted generation uses scikit-learn, which no stage does; lm-eval's tasks import it themselves.
    vars(module)["is_sklearn_available"] = lambda: False
