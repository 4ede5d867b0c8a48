"""Which run of a tracker gets the steps: evaluation adds its figures to the same one."""

import json
from collections.abc import Callable
from typing import Any

from osft_train.patches import original, put
from osft_train.worker.lines import write_line
from osft_train.worker_log import TRACKER

FACTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "mlflow": lambda run: {"run_id": run.info.run_id, "experiment_id": run.info.experiment_id},
    "wandb": lambda run: {"run_id": run.id, "project": run.project, "entity": run.entity},
}
"""What names the run that a tracker's client has started."""


def install() -> None:
    """Write a line that the stage reads when a tracker's client has started its run."""
    for name in FACTS:
        target = f"mini_trainer.{name}_wrapper:init"
        put(target, telling(name, original(target)))


def telling(name: str, start: Callable[..., Any]) -> Callable[..., Any]:
    """Return what starts a run and says which one."""

    def init(*args: Any, **kwargs: Any) -> Any:
        run = start(*args, **kwargs)
        known = {key: str(value) for key, value in FACTS[name](run).items() if value}
        write_line(json.dumps({TRACKER: name, **known}))
        return run

    return init
