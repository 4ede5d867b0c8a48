"""Which trainings are compared, in the order in which they run."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any

DATA = ("python", "words")
SEEDS = (1, 2, 3, 4, 5)
METHODS = ("sft", "osft", "lora")
RATES = {
    "sft": (1e-5, 3e-5, 1e-4),
    "osft": (1e-5, 3e-5, 1e-4),
    "lora": (1e-4, 3e-4, 1e-3),  # adapters start at zero and take about ten times the rate
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training and what it starts from."""

    data: str
    method: str
    learning_rate: float
    seed: int
    rows: int = 480
    epochs: int = 2
    batch: int = 8

    @property
    def name(self) -> str:
        """Its run id."""
        return f"{self.data}-{self.method}-{self.learning_rate:.0e}-{self.seed}".replace("e-0", "e-")

    @property
    def warmup(self) -> int:
        """Steps of warmup: a twentieth of all."""
        return self.rows * self.epochs // self.batch // 20

    def key(self) -> dict[str, Any]:
        """Return what a line of the results begins with, by which a finished training is found again."""
        return asdict(self)


def trainings(
    data: tuple[str, ...] = DATA, methods: tuple[str, ...] = METHODS, seeds: tuple[int, ...] = SEEDS
) -> list[Training]:
    """Return every training; a seed is finished for all methods and rates before the next one begins."""
    return [
        Training(data=kind, method=method, learning_rate=rate, seed=seed)
        for seed, kind in itertools.product(seeds, data)
        for method in methods
        for rate in RATES[method]
    ]
