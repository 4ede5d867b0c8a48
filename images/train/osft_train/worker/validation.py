"""What mini-trainer measures on held-out rows: at the last step too, and written where it was measured.

Stock code measures every so many steps, which leaves out the end, and writes each result into the lines of
all steps until the next one.
"""

from typing import Any, ClassVar

from mini_trainer.async_structured_logger import AsyncStructuredLogger
from mini_trainer.train import ValidationScheduler

from osft_train.patches import put


class UpToTheEnd(ValidationScheduler):  # type: ignore[misc]
    """Measures after the last step as well."""

    last_step: ClassVar[int] = 0
    """0: unknown."""

    def should_validate(self, validation_type: str, step: int = 0, **more: Any) -> bool:
        """Return whether to measure now; see the base class."""
        last = validation_type == "step" and bool(self.validation_frequency) and step == self.last_step
        return last or bool(super().should_validate(validation_type, step=step, **more))


class WhereMeasured(AsyncStructuredLogger):  # type: ignore[misc]
    """Writes a result once."""

    written: ClassVar[float | None] = None

    def log_sync(self, data: dict[str, Any]) -> None:
        """Write a step's line."""
        if data["val_loss"] == self.written:
            data = {**data, "val_loss": None}
        else:
            WhereMeasured.written = data["val_loss"]
        super().log_sync(data)


def install(last_step: int) -> None:
    """Put it in place.

    Args:
        last_step: of the whole run; 0 for an unknown one.
    """
    UpToTheEnd.last_step = last_step
    put("mini_trainer.train:ValidationScheduler", UpToTheEnd)
    put("mini_trainer.train:AsyncStructuredLogger", WhereMeasured)
