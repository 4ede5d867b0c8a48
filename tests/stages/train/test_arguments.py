"""Every option reaches training_hub's own function, by its name and with its value."""

import json
from pathlib import Path

from tests.support import warm

ROOT = Path(__file__).resolve().parents[3]

COLLECT = """
import contextlib, json, sys
import click
from osft_train import arguments, cli
from osft_train.options import Options
from training_hub import osft

numbers = iter(range(2, 99))
def other(option):
    kind, default = option.type, option.default
    if isinstance(kind, click.types.BoolParamType):
        return not default
    if isinstance(kind, click.types.FloatParamType):
        return next(numbers) / 1000
    if isinstance(kind, click.types.IntParamType):
        return next(numbers)
    own = {"nproc_per_node": "auto", "lr_scheduler": "linear"}
    if option.name in own:
        return own[option.name]
    return {"[]": ["q_proj"], "{}": {"num_cycles": 2}}.get(default, f"text {option.name}")

class Run:
    def event(self, *_, **__): ...

skipped = {"help", "workspace", "run_id", "check", "run_overwrite", "training_config"}
options = {option.name: other(option) for option in cli.main.params if option.name not in skipped}
options["extra"] = {"validation_split": 0.25, "validate_at_epoch": True}
with contextlib.redirect_stdout(sys.stderr):
    call = arguments.collect(Run(), osft, Options(**options), {})
expected = {k: v for k, v in options.items() if not arguments.is_own(k)} | options["extra"]
print(json.dumps({"expected": expected, "call": call.arguments, "worker": call.worker}))
"""


def test_every_option_reaches_osft_with_its_value() -> None:
    told = json.loads(warm.output("train", COLLECT).splitlines()[-1])
    assert told["call"] == told["expected"]
    assert len(told["call"]) > 35
    assert set(told["worker"]) == {"beta1", "beta2", "eps", "weight_decay"}


KNOWN = """
import inspect, json
from osft_train import arguments, extra
from training_hub import osft

signature, known = inspect.signature(osft), extra.known_fields()
names = [name for name in known if not extra.name_problem(name, known, signature)]
print(json.dumps([names, arguments.schedules(), list(extra.MODES), list(extra.DTYPES)]))
"""


def test_the_chart_takes_the_names_that_the_engine_takes() -> None:
    names, schedules, modes, types = json.loads(warm.output("train", KNOWN).splitlines()[-1])
    schema = json.loads((ROOT / "charts" / "osft-pipeline" / "values.schema.json").read_text())
    keys = schema["properties"]["train"]["properties"]
    further = keys["extraArgs"]["properties"]
    assert sorted(further) == sorted(names)
    assert keys["scheduler"]["properties"]["name"]["enum"] == schedules
    assert further["training_mode"]["enum"] == modes
    assert all(further[name]["enum"] == types for name in further if name.endswith("_dtype"))
