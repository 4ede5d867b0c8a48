"""Orthogonal subspace fine-tuning, from the options to a published model."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from osft_train import chart, data, devices, engine, estimate, metrics, nodes, outcome
from osft_train.arguments import NOT_DECIDING, Call, collect
from osft_train.base import Base, count_targets, target_patterns
from osft_train.devices import Device
from osft_train.rows import Encoder
from osft_train.work import Work
from osft_workspace import Outcome, Run, UserError, digest_json, tree_digest
from osft_workspace.exits import StageError

VERSIONS = ("torch", "transformers", "training-hub", "rhai-innovation-mini-trainer", "instructlab-training")


@dataclass(frozen=True, slots=True)
class Setup:
    """What every node settles for itself, equal on all of them."""

    run: Run
    options: Mapping[str, Any]
    base: Base
    device: Device
    call: Call
    work: Work
    matrices: int

    @property
    def rows_file(self) -> Path:
        """Where the tokenised rows lie."""
        given = self.options["data_output_dir"]
        # Other inputs make other rows, which a folder of the user's own must not mix up.
        folder = (
            Path(given) / self.work.digest.removeprefix("sha256:")[:16] if given else self.work.dir / "rows"
        )
        return folder / "data.jsonl"

    def job(self, plan: estimate.Plan, done: int) -> engine.Job:
        """The call of the backend."""
        rank = self.options["node_rank"]
        return engine.Job(
            run=self.run,
            function=backend_function(),
            call=self.call,
            device=self.device,
            checkpoints=self.work.dir,
            log=self.run.dir / (f"train-node{rank}.log" if rank else "train.log"),
            total=plan.steps,
            done=done,
            matrices=self.matrices,
            checkpoint_seconds=60 * self.options["checkpoint_minutes"],
            node_rank=rank,
        )


def backend_function() -> Any:
    """training_hub's function of this method."""
    from training_hub import osft

    return osft


def settle(run: Run, options: Mapping[str, Any]) -> Setup:
    """Look at the base model and the device, and collect the arguments.

    Raises:
        UserError: an argument, pattern or device that cannot be had.
    """
    devices.prepare_process(options)
    base = Base.load(run, trust_remote_code=options["trust_remote_code"])
    device = devices.choose(run, base, options)
    protects = options["extra"].get("osft", True)
    patterns = target_patterns(run, base, options["target_patterns"])
    matrices = count_targets(run, base, patterns) if protects else 0
    deciding = {name: value for name, value in options.items() if name not in NOT_DECIDING}
    work = Work(run.dir / "checkpoints", digest_json([deciding, run.predecessors["download"].digest]))
    own = {
        "model_path": str(base.path),
        "ckpt_output_dir": str(work.dir),
        "backend": backend_name(options["backend"], device),
        "target_patterns": patterns,
        "use_processed_dataset": True,
        "use_liger": device.liger,
        "nproc_per_node": device.processes,
    }
    alone = ("master_addr", "master_port", "rdzv_endpoint") if options["nnodes"] == 1 else ()
    given = {name: value for name, value in options.items() if name not in alone}
    setup = Setup(run, options, base, device, Call({}), work, matrices)
    own |= {"data_path": str(setup.rows_file), "data_output_dir": str(setup.rows_file.parent)}
    call = collect(run, backend_function(), given, own)
    return Setup(run, options, base, device, call, work, matrices)


def backend_name(wanted: str, device: Device) -> str:
    """Our name for the backend on this device.

    Raises:
        UserError: training_hub has no such backend.
    """
    from training_hub import AlgorithmRegistry

    known = [name for name in AlgorithmRegistry.list_backends("osft") if not name.startswith("mini-trainer-")]
    if wanted not in known:
        raise UserError(
            f"--backend (train.backend) is {wanted!r}, training_hub has {', '.join(known)} for osft."
        )
    return device.backend


def encoder(setup: Setup) -> Encoder:
    """How rows become tokens."""
    options = setup.options
    return Encoder(
        model=str(setup.base.path),
        max_seq_len=options["max_seq_len"],
        vocabulary=int(setup.base.text_config.get("vocab_size", 0)),
        unmask=options["unmask_messages"],
        document_column=(options["document_column_name"] or "document") if options["is_pretraining"] else "",
        trust_remote_code=options["trust_remote_code"],
    )


def train(run: Run, options: Mapping[str, Any]) -> Outcome:
    """The whole stage on the first node."""
    setup = settle(run, options)
    work = setup.work
    done = work.open(run, resume=options["enable_jit_checkpoint"])
    rows = data.prepare(run, encoder(setup), setup.rows_file)
    plan = estimate.plan(run, setup.base, setup.device, rows, options)
    work.offer()
    if not work.finished.exists():
        run_backend(setup, plan, done)
        work.finish(outcome.check_steps(run, work, plan, options))
    steps = metrics.read_steps(work.dir, 0)
    chosen, facts = outcome.publish(run, work, setup.base)
    metrics.write_clean(steps, run.dir / "metrics.jsonl")
    chart.write(steps, run.dir / "loss.svg")
    figures = {**metrics.summary(steps), **data.facts(rows)}
    return Outcome(
        outputs=["model", "metrics.jsonl", "loss.svg"],
        metrics=figures,
        details=details(setup, plan, facts),
        versions={name: version(name) for name in VERSIONS},
        message=(
            f"tuned in {figures['steps']} steps, loss {steps[0]['loss']:.3f} to {figures['final_loss']:.3f}; "
            f"the model is {run.dir.relative_to(run.workspace.root)}/model"
        ),
        # Not before the record: whoever is killed until then goes on from here.
        after=lambda: work.clear(chosen),
    )


def help_train(run: Run, options: Mapping[str, Any]) -> None:
    """The work of any other node: train along, publish nothing."""
    setup = settle(run, options)
    if nodes.is_over(run, setup.work):
        run.event("already done", run=run.run_id)
        return
    nodes.wait_for_rows(run, setup.work)
    rows = data.Rows.load(setup.rows_file.with_suffix(".rows.json"))
    if rows is None:
        raise StageError(
            f"node 0 offered rows and {setup.rows_file} is not there. Is the workspace shared by all nodes?"
        )
    plan = estimate.plan(run, setup.base, setup.device, rows, options)
    run_backend(setup, plan, setup.work.newest_state() or 0)
    if not nodes.is_over(run, setup.work):  # node 0 clears up after it
        outcome.check_steps(run, setup.work, plan, options)
    nodes.wait_for_finish(run, setup.work)
    run.event("done", node=options["node_rank"])


def run_backend(setup: Setup, plan: estimate.Plan, done: int) -> None:
    """Train from step `done` on."""
    if setup.options["nnodes"] > 1:
        nodes.wait_for_master(setup.run, setup.options["master_addr"])
    engine.train(setup.job(plan, done))


def details(setup: Setup, plan: estimate.Plan, model: dict[str, Any]) -> dict[str, Any]:
    """What later stages and people want to know."""
    device = setup.device
    return {
        "model": {"path": "train/model", "digest": tree_digest(setup.run.dir / "model"), **model},
        "base": setup.base.facts,
        "method": "osft",
        "device": device.name,
        "backend": device.backend,
        "attention": device.attention,
        "compute": device.compute,
        "processes": device.processes,
        "nodes": setup.options["nnodes"],
        "cpus": os.cpu_count(),
        "matrices": setup.matrices,
        "arguments": setup.call.without("model_path", "data_path", "ckpt_output_dir", "data_output_dir"),
        "estimate": {"steps": plan.steps, "steps_per_epoch": plan.steps_per_epoch, "seconds": plan.seconds},
        "work_digest": setup.work.digest,
    }
