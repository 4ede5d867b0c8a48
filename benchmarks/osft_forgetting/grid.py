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


TASKS = ("python", "words", "json")
"""Of the chain, in order."""
CHAIN_RATES = {"sft": 3e-5, "osft": 3e-5, "lora": 3e-4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Three tasks in a row, each on the model that went on from the one before."""

    method: str
    learning_rate: float
    mix: str
    """off or auto."""
    seed: int
    rows: int = 480
    epochs: int = 2

    @property
    def name(self) -> str:
        """What its run ids begin with."""
        return f"chain-{self.method}-{self.mix}-{self.seed}"

    def key(self) -> dict[str, Any]:
        """Return what its line of the results begins with."""
        return asdict(self)

    def trainings(self) -> list[Training]:
        """Return its trainings, in order."""
        return [
            Training(
                data=task,
                method=self.method,
                learning_rate=self.learning_rate,
                seed=self.seed,
                rows=self.rows,
                epochs=self.epochs,
            )
            for task in TASKS
        ]


Planned = Training | Chain


def chains(methods: tuple[str, ...] = METHODS, seeds: tuple[int, ...] = SEEDS) -> list[Chain]:
    """Return every chain, a seed for all methods before the next one."""
    return [
        Chain(method=method, learning_rate=CHAIN_RATES[method], mix=mix, seed=seed)
        for seed, method, mix in itertools.product(seeds, methods, ("off", "auto"))
    ]


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
