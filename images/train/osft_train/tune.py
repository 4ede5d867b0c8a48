"""Fine-tuning by mini-trainer, from the options to a published model, with every method."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

from osft_train import boards, chart, data, engine, merge, methods, metrics, nodes, outcome, planned
from osft_train.ahead import Ahead
from osft_train.failures import StateLost
from osft_train.hardware import hardware
from osft_train.methods import OSFT
from osft_train.options import Options
from osft_train.preparation import Setup, settle
from osft_train.worker_log import WorkerLog
from osft_workspace import Outcome, Run, tree_digest
from osft_workspace.contents import Adapter, Estimate, Model, Train
from osft_workspace.exits import StageError
from osft_workspace.text import counted

VERSIONS = ("torch", "transformers", "training-hub", "rhai-innovation-mini-trainer")

PATHS = ("model_path", "data_path", "ckpt_output_dir", "data_output_dir", "validation_data_path")
OF_OSFT = ("unfreeze_rank_ratio", "target_patterns")
"""Arguments that another method ignores."""


def train(run: Run, options: Options) -> Outcome:
    """Return the whole stage on the first node."""
    setup = settle(run, options)
    work = setup.work
    done = work.open(run, resume=options.enable_jit_checkpoint)
    rows = data.choose(run, options, setup.rows_file)
    ahead = setup.ahead(rows)
    work.offer()
    peak = 0
    if not work.finished.exists():
        log = run_resumable(setup, ahead, done)
        peak = log.peak
        work.finish(outcome.check_steps(run, work, ahead.plan, options), log.trackers)
    steps = metrics.read_steps(work.dir, 0)
    chosen, facts = outcome.publish(run, work, setup.base)
    metrics.write_clean(steps, run.dir / "metrics.jsonl")
    chart.write(steps, run.dir / "loss.svg")
    boards.complete(run, setup.board, steps)
    figures = {**metrics.summary(steps), **data.facts(run, rows), **memory_figures(setup, ahead, steps, peak)}
    said = details(setup, ahead, facts)
    base, left = said["base"], said["model"]["path"].removeprefix("train/")
    return Outcome(
        outputs=outputs(setup),
        # An adapter is nothing without its base model; a merged one is whole.
        shared={base["path"]: base["digest"]} if "base" in said["model"] else {},
        metrics=figures,
        details=said,
        versions={name: version(name) for name in VERSIONS},
        message=(
            f"tuned in {counted(figures['steps'], 'step')} on {data.told(figures)}, "
            f"loss {steps[0]['loss']:.3f} to "
            f"{figures['final_loss']:.3f}; the {left} is {run.home.relative_to(run.workspace.root)}/{left}"
        ),
        # Only after the record: a start that is killed before it resumes from these files.
        after=lambda: work.clear(chosen),
    )


def memory_figures(
    setup: Setup, ahead: Ahead, steps: Sequence[Mapping[str, Any]], peak: int
) -> dict[str, int]:
    """Return the peak memory of a process as it was planned and as it was.

    Args:
        peak: resident bytes on a CPU; 0 where the start that trained did not end.
    """
    device = setup.device.name
    if device == "cuda":
        peak = round(max((step.get("peak_memory_usage_GB", 0.0) for step in steps), default=0.0) * 1e9)
    planned_bytes = planned.measurable(ahead.plan.memory, device)
    return {"planned_memory_bytes": planned_bytes, **({"peak_memory_bytes": peak} if peak else {})}


def outputs(setup: Setup) -> list[str]:
    """Return what the stage leaves in its folder."""
    boards_here = [boards.FOLDER] * (setup.board.parent == setup.run.dir)
    left = ["model"] * setup.merged + ["adapter"] * bool(setup.adapter)
    return [*left, "metrics.jsonl", "loss.svg", *boards_here]


def help_train(run: Run, options: Options) -> None:
    """The work of any other node: train along, publish nothing."""
    setup = settle(run, options)
    if nodes.is_over(run, setup.work):
        run.event("already done", run=run.run_id)
        return
    run.dir.mkdir(exist_ok=True)  # of the log; what lies there becomes node 0's result
    nodes.wait_for_rows(run, setup.work)
    rows = data.Rows.load(run, setup.rows_file)
    if rows is None:
        raise StageError(
            f"node 0 offered rows and {setup.rows_file} is not there. Is the workspace shared by all nodes?"
        )
    ahead = setup.ahead(rows)
    run_backend(setup, ahead, setup.work.newest_state() or 0)
    if not nodes.is_over(run, setup.work):  # node 0 clears up after it
        outcome.check_steps(run, setup.work, ahead.plan, options)
    nodes.wait_for_finish(run, setup.work)
    run.event("done", node=options.node_rank)


def run_backend(setup: Setup, ahead: Ahead, done: int) -> WorkerLog:
    """Train from step `done` on; return what the worker said.

    Raises:
        StateLost: the full state of that step cannot be loaded.
    """
    if setup.options.nnodes > 1:
        nodes.wait_for_master(setup.run, setup.options.master_addr)
    job = setup.job(ahead, done)
    engine.train(job)
    if setup.adapter and setup.merged and not setup.options.node_rank:
        merge.merge_all(setup.run, setup.work.dir, setup.base, setup.options.extra.get("save_dtype"))
    return job.said


def run_resumable(setup: Setup, ahead: Ahead, done: int) -> WorkerLog:
    """As `run_backend`; a state that cannot be loaded is given up after one try.

    Raises:
        StateLost: it was given up, and other nodes must start again too.
    """
    try:
        return run_backend(setup, ahead, done)
    except StateLost as lost:
        setup.work.give_up(setup.run, done, lost.message)
        if setup.options.nnodes > 1:
            raise
        return run_resumable(setup, ahead, setup.work.open(setup.run, resume=True))


def tuned(setup: Setup, facts: Model) -> tuple[Model, Adapter | None]:
    """Return what the record says of the model that goes on, and of the adapter."""
    adapter: Adapter | None = None
    if setup.adapter:
        adapter = {
            "path": "train/adapter",
            "digest": tree_digest(setup.run.dir / "adapter"),
            "r": setup.adapter.r,
            "bias": setup.adapter.bias,
            "use_dora": setup.adapter.use_dora,
        }
        if not setup.merged:
            base = setup.base.facts["path"]
            return {**facts, "path": adapter["path"], "digest": adapter["digest"], "base": base}, adapter
    return {**facts, "path": "train/model", "digest": tree_digest(setup.run.dir / "model")}, adapter


def details(setup: Setup, ahead: Ahead, facts: Model) -> Train:
    """Return what later stages and people want to know."""
    device, method = setup.device, setup.options.method
    model, adapter = tuned(setup, facts)
    idle = (*PATHS, *(() if method == OSFT else OF_OSFT))
    trackers = setup.work.trackers()
    return {
        "model": model,
        **({"trackers": trackers} if trackers else {}),
        "base": setup.base.facts,
        "method": method,
        "adapter": adapter,
        "device": device.name,
        "backend": device.backend,
        "attention": device.attention,
        "compute": device.compute,
        "processes": device.processes,
        "nodes": setup.options.nnodes,
        "cpus": os.cpu_count(),
        "hardware": hardware(setup.options.gpus),
        "matrices": len(setup.matrices),
        "arguments": {
            **setup.call.with_(**ahead.arguments(setup.options)).without(*idle),
            **methods.of_method(setup.options),
        },
        "held_out": ahead.held_out.facts() if ahead.held_out else None,
        "max_steps": setup.options.max_steps or None,
        "estimate": cast(Estimate, ahead.plan.facts()),
        "work_digest": setup.work.digest,
    }
