"""`osft migrate`: settings of four other systems become values that render."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from osft_pipeline.migrate import OF_METHODS
from tests.chart.rendering import ROOT
from tests.client.local.support import OSFT, call

REFERENCE: dict[str, list[str]] = yaml.safe_load((ROOT / "tests/chart/values/reference.yaml").read_text())
TOKEN = "hf_canary0123456789abcdefghij"
KFP = {
    "phase_01_dataset_man_data_uri": "org/rows",
    "phase_01_dataset_man_data_split": "0.9",
    "phase_01_dataset_opt_hf_token": TOKEN,
    "phase_02_train_man_train_model": "Qwen/Qwen2.5-1.5B-Instruct",
    "phase_02_train_man_train_workers": 1,
    "phase_02_train_opt_cpu": 8,
    "phase_02_train_opt_env_vars": "NCCL_IB_HCA=mlx5_0,mlx5_1,X=1",
    "phase_02_train_opt_lr_scheduler_kwargs": "num_cycles=0.5",
    "phase_02_train_opt_processed_data": False,
    "phase_02_train_opt_target_patterns": "q_proj,v_proj",
    "phase_02_train_opt_runtime": "training-hub",
    "phase_03_eval_man_eval_tasks": ["arc_easy"],
    "phase_03_eval_opt_limit": -1,
    "phase_04_registry_opt_port": "8080",
    "phase_04_registry_opt_description": "",
    "phase_09_new": 3,
}
HUB = {
    "model_path": "/models/base",
    "data_path": "/data/train.jsonl",
    "ckpt_output_dir": "/out",
    "unfreeze_rank_ratio": 0.3,
    "effective_batch_size": 16,
    "max_tokens_per_gpu": 4096,
    "max_seq_len": 2048,
    "learning_rate": 5e-6,
    "use_processed_dataset": True,
    "nnodes": 1,
    "rdzv_endpoint": "host:29500",
    "save_dtype": "bfloat16",
    "warmup_steps": None,
}
KAITO = [
    {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": "tuning"},
        "resource": {
            "instanceType": "Standard_NC24ads_A100_v4",
            "labelSelector": {"matchLabels": {"app": "x"}},
        },
        "tuning": {
            "preset": {"name": "phi-3-mini-128k-instruct"},
            "method": "qlora",
            "config": "my-config",
            "input": {"urls": ["https://example.com/a.parquet", "https://example.com/b.parquet"]},
            "output": {"image": "registry.example.com/x:1", "imagePushSecret": "push"},
        },
    },
    {
        "kind": "ConfigMap",
        "metadata": {"name": "my-config"},
        "data": {
            "training_config.yaml": yaml.safe_dump(
                {
                    "training_config": {
                        "ModelConfig": {"torch_dtype": "bfloat16", "local_files_only": True},
                        "QuantizationConfig": {
                            "load_in_4bit": True,
                            "bnb_4bit_compute_dtype": "torch.bfloat16",
                        },
                        "LoraConfig": {"r": 8, "lora_alpha": 8, "target_modules": ["q_proj"]},
                        "TrainingArguments": {
                            "num_train_epochs": 3,
                            "save_strategy": "epoch",
                            "max_steps": 9,
                            "per_device_train_batch_size": 2,
                            "gradient_accumulation_steps": 4,
                            "logging_steps": 5,
                        },
                        "DatasetConfig": {"shuffle_dataset": True, "train_test_split": 1},
                        "DataCollator": {"mlm": True},
                    }
                }
            )
        },
    },
]
KEP = {
    "name": "run",
    "num_workers": 2,
    "num_procs_per_worker": 4,
    "resources_per_worker": {"gpu": 4, "cpu": 8, "memory": "16Gi"},
    "model_provider_parameters": {"model_uri": "hf://org/base", "access_token": TOKEN, "num_labels": 2},
    "dataset_provider_parameters": {
        "endpoint_url": "https://s3.example.com", "bucket_name": "b", "file_key": "rows", "access_key": TOKEN,
    },
    "trainer_parameters": {"learning_rate": 1e-5, "lora_config": {"r": 8}},
    "storage_config": {"size": "50Gi", "access_modes": ["ReadWriteMany"]},
    "queue_name": "team",
}  # fmt: skip


def migrate(
    tmp_path: Path, *documents: Any, words: tuple[str, ...] = ()
) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Convert documents; what was said, and the values."""
    (tmp_path / "theirs.yaml").write_text("\n---\n".join(json.dumps(document) for document in documents))
    done = call(OSFT, "migrate", tmp_path / "theirs.yaml", *words)
    assert TOKEN not in done.stdout + done.stderr
    return done, yaml.safe_load(done.stdout)


def comments(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("#   ") for line in done.stdout.splitlines() if line.startswith("#   ")]


def test_run_parameters_of_the_kubeflow_pipeline_become_values_that_render(tmp_path: Path) -> None:
    done, values = migrate(tmp_path, KFP)
    assert done.returncode == 0, done.stderr
    assert values["data"] == {"uri": "org/rows", "trainFraction": 0.9}
    assert values["train"]["pod"]["env"] == {"NCCL_IB_HCA": "mlx5_0,mlx5_1", "X": "1"}
    assert values["train"]["scheduler"]["kwargs"] == {"num_cycles": 0.5}
    assert values["train"]["targetPatterns"] == ["q_proj", "v_proj"]
    assert values["eval"] == {"tasks": ["arc_easy"], "limit": 0, "downloadBenchmarks": True}
    assert values["secrets"]["hf"] == {"existing": "hf-token"}
    assert values["register"] == {"port": 8080}
    assert [line.partition(":")[0] for line in comments(done)] == [
        "phase_02_train_opt_runtime",
        "phase_09_new",
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda given: {"runtime_config": {"parameters": given}},
        lambda given: {
            "spec": {"arguments": {"parameters": [{"name": k, "value": v} for k, v in given.items()]}}
        },
    ],
    ids=["run", "workflow"],
)
def test_parameters_are_found_inside_the_description_of_a_run(tmp_path: Path, wrap: Any) -> None:
    done, values = migrate(tmp_path, wrap(KFP))
    assert done.returncode == 0, done.stderr
    assert values["data"]["uri"] == "org/rows"


@pytest.mark.parametrize(("protects", "method"), [(False, "sft"), (True, "osft")])
def test_training_without_protection_becomes_its_method(tmp_path: Path, protects: bool, method: str) -> None:
    done, values = migrate(tmp_path, HUB | {"osft": protects})
    assert done.returncode == 0, done.stderr
    assert values["train"]["method"] == method
    assert ("unfreezeRankRatio" in values["train"]) is protects
    unused = [line for line in comments(done) if line.startswith("train.unfreezeRankRatio: ")]
    assert len(unused) == (0 if protects else 1)


def test_arguments_of_training_hub_become_values_that_render(tmp_path: Path) -> None:
    done, values = migrate(tmp_path, HUB)
    assert done.returncode == 0, done.stderr
    assert values["model"]["uri"] == "/models/base" and values["data"]["format"] == "processed"
    assert values["train"]["extraArgs"] == {"save_dtype": "bfloat16"}
    assert values["train"]["learningRate"] == 5e-6
    said = comments(done)
    assert any(line.startswith("rdzv_endpoint: host:29500: Kubeflow Trainer gives") for line in said)
    assert any(line.startswith("ckpt_output_dir: /out: ") for line in said)


def test_what_only_some_methods_use_is_what_the_chart_refuses_for_the_others() -> None:
    template = (ROOT / "charts/osft-pipeline/templates/problems/_stages.tpl").read_text()
    (told,) = re.findall(r"range \$key, \$methods := dict (.*) -\}\}", template)
    pairs = re.findall(r'"(\w+)" \(list ([^)]*)\)', told)
    assert {key: tuple(re.findall(r"\w+", methods)) for key, methods in pairs} == OF_METHODS


def test_a_kaito_workspace_and_its_config_map_become_values(tmp_path: Path) -> None:
    done, values = migrate(tmp_path, *KAITO)
    assert done.returncode == 2, "the model has another name on the hub"
    assert "'NAME-THE-MODEL' is not a supported address" in done.stderr
    assert values["model"]["uri"] == "NAME-THE-MODEL" and "preset.name: " in done.stdout
    assert values["data"]["uri"] == ["https://example.com/a.parquet", "https://example.com/b.parquet"]
    assert values["train"]["effectiveBatchSize"] == 8, "rows of a pass times passes"
    assert "logging_steps: 5: progress is logged at every step" in comments(done)
    assert values["train"]["maxSteps"] == 9 and values["train"]["epochs"] == 3
    assert values["train"]["checkpoints"] == {"everyEpoch": True}
    assert values["train"]["extraArgs"] == {"train_dtype": "bfloat16"}
    assert values["train"]["pod"]["nodeSelector"] == {
        "node.kubernetes.io/instance-type": "Standard_NC24ads_A100_v4",
        "app": "x",
    }
    assert values["train"]["method"] == "qlora"
    assert values["train"]["lora"] == {"r": 8, "alpha": 8, "targetModules": ["q_proj"]}
    assert values["train"]["quantization"] == {"computeDtype": "bfloat16"}
    named = {line.partition(":")[0] for line in comments(done)}
    assert {"config", "output.image", "mlm"} <= named


def test_arguments_of_the_train_call_become_values_that_render(tmp_path: Path) -> None:
    done, values = migrate(tmp_path, KEP)
    assert done.returncode == 0, done.stderr
    assert values["data"] == {"s3": {"endpoint": "https://s3.example.com"}, "uri": "s3://b/rows"}
    assert (values["train"]["nodes"], values["train"]["gpus"]) == (2, 4)
    assert values["train"]["pod"]["resources"]["requests"] == {"cpu": 8, "memory": "16Gi"}
    assert (values["train"]["method"], values["train"]["lora"]) == ("lora", {"r": 8})
    assert values["workspace"] == {"size": "50Gi", "accessModes": ["ReadWriteMany"]}
    assert values["queue"] == {"name": "team"}
    named = {line.partition(":")[0] for line in comments(done)}
    assert "dataset_provider_parameters.access_key" in named and "name" in named


@pytest.mark.parametrize(
    ("system", "section"),
    [
        ("kfp", "The OSFT pipeline on Kubeflow Pipelines"),
        ("kep-2003", "The train API of KEP-2003"),
    ],
)
def test_every_parameter_is_a_value_or_a_comment(tmp_path: Path, system: str, section: str) -> None:
    for name in REFERENCE[section]:
        given: dict[str, Any] = {}
        *outer, inner = name.split(".")
        place = given
        for part in outer:
            place = place.setdefault(part, {})
        place[inner] = "1"
        done, values = migrate(tmp_path, given, words=("--from", system))
        assert values or name in done.stdout, name
        assert "This is a bug" not in done.stderr


@pytest.mark.parametrize(
    ("system", "given"),
    [
        ("kep-2003", {"dataset_provider_parameters": {"access_key": "word-1", "secret_key": "word-1"}}),
        ("kep-2003", {"trainer_parameters": {"training_parameters": {"hub_token": "word-1"}}}),
        ("training-hub", {"callbacks": {"password": "word-1"}, "model_path": "a/b"}),
        ("kfp", {"phase_02_train_opt_env_vars": "NCCL_DEBUG=INFO,HF_TOKEN=word-1"}),
    ],
)
def test_what_is_named_like_a_secret_is_not_copied(tmp_path: Path, system: str, given: Any) -> None:
    done, _ = migrate(tmp_path, given, words=("--from", system))
    assert "word-1" not in done.stdout + done.stderr
    assert comments(done), done.stdout


def test_settings_of_another_system_than_is_said_are_listed(tmp_path: Path) -> None:
    done, _ = migrate(tmp_path, HUB, words=("--from", "kaito"))
    assert {"model_path", "unfreeze_rank_ratio"} <= {line.partition(":")[0] for line in comments(done)}


@pytest.mark.parametrize(
    "words", [("migrate", "FILE", "-o", "DIR/missing/x.yaml"), ("migrate", "FILE", "-o", "DIR")]
)
def test_a_path_that_cannot_be_written_ends_with_a_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "theirs.json").write_text(json.dumps(HUB))
    named = {"FILE": str(tmp_path / "theirs.json"), "DIR": str(tmp_path)}
    done = call(OSFT, *(re.sub("FILE|DIR", lambda match: named[match[0]], word) for word in words))
    assert done.returncode == 2
    assert "Error: " in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_ends_with_its_code() -> None:
    process = subprocess.Popen(
        [OSFT, "migrate", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)  # it reads its standard input by then
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said.strip()) == (130, "Aborted.")


def test_values_that_do_not_render_yet_are_written_with_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text(json.dumps({"model_path": "org/base", "max_seq_len": 8192}))
    done = call(OSFT, "migrate", tmp_path / "theirs.json", "-o", tmp_path / "values.yaml")
    assert done.returncode == 2
    assert "these values do not render yet" in done.stderr and "data.uri is empty" in done.stderr
    assert yaml.safe_load((tmp_path / "values.yaml").read_text())["model"]["uri"] == "org/base"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no mapping"),
        ("- a\n- b\n", "has no mapping"),
        ("a: [", "neither YAML nor JSON"),
        ("what: 1\nelse: 2\n", "do not belong to a known system"),
        ("[" * 5000, "neither YAML nor JSON"),
    ],
)
def test_what_is_not_settings_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x").write_text(text)
    done = call(OSFT, "migrate", tmp_path / "x")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
