"""The client of osft-pipeline: starts, follows and reads runs, on a cluster or on this machine."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osft_pipeline.api import (
        EarlierRun,
        HuggingFaceDataset,
        HuggingFaceModel,
        S3Dataset,
        list_methods,
        required_parameters,
        train,
    )
    from osft_pipeline.run import ClusterRun, LocalRun, RunFailed

__version__ = "0.1.0"
__all__ = [
    "ClusterRun",
    "EarlierRun",
    "HuggingFaceDataset",
    "HuggingFaceModel",
    "LocalRun",
    "RunFailed",
    "S3Dataset",
    "list_methods",
    "required_parameters",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import the functions when they are asked for: the command line starts without them."""
    if name in __all__:
        return getattr(import_module("osft_pipeline.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
