"""A faster import of transformers, which otherwise costs every process of a stage two seconds of CPU.

transformers 5 finds its classes by reading the 1,500 files of its models twice, line by line, and imports
scikit-learn and scipy where they are installed.
"""

import functools
from types import ModuleType

ALL = "__all__"


def read_once(module: ModuleType) -> None:
    """Let `transformers.utils.import_utils` read each file once, only its `__all__`, and not scikit-learn."""
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
