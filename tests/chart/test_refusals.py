"""All values problems are reported at once, each with how to fix it, before anything is created."""

import re

import pytest

from osft_download.base_model import staging
from osft_download.sources import parse
from osft_workspace import UserError
from tests.chart.rendering import HOOKS, Object, overlay, refusal, render

LIVE = ("--api-versions=v1/Pod",)
TRAINER = (*LIVE, "--api-versions=trainer.kubeflow.org/v1alpha1/TrainJob")


def problems(values: Object, **options: object) -> list[str]:
    """Return the problems that helm lists."""
    text = refusal(values, **options)  # type: ignore[arg-type]
    found = re.findall(r"(?m)^- (.*)$", text)
    assert f"{len(found)} problem{'' if len(found) == 1 else 's'} in the values; nothing was created." in text
    return found


def test_missing_rows_are_named_with_the_forms_they_may_have() -> None:
    (problem,) = problems({"data": {"uri": ""}})
    assert problem.startswith("data.uri is empty. Set it to hf://")
    assert problems({"data": {"uri": []}}) == problems({"data": {"uri": ""}})


CASES: list[tuple[Object, str, str]] = [
    (
        {"model": {"fromRun": "task1", "uri": "hf://org/base"}},
        "model.fromRun is task1 and model.uri is hf://org/base: both name the base model",
        "Remove one of them",
    ),
    (
        {"model": {"fromRun": "task1", "revision": "main"}},
        "model.fromRun is task1 and model.revision is main",
        "Remove model.revision",
    ),
    (
        {"model": {"fromRun": "run1"}},
        "model.fromRun is run1, the name of this release",
        "Set model.fromRun to the run id of an earlier run, such as run1-3fa9c1d2",
    ),
    (
        {
            "model": {"fromRun": "task1"},
            "eval": {"holdout": {"enabled": False}, "gates": {"maxEarlierRise": 0.1}},
        },
        "eval.gates.maxEarlierRise is set and eval.holdout.enabled is false",
        "or remove eval.gates.maxEarlierRise",
    ),
    (
        {"model": {"fromRun": "task1"}, "runId": "task1"},
        "model.fromRun and runId are both task1: a run cannot continue itself",
        "Set model.fromRun to an earlier run",
    ),
    (
        {"data": {"runAs": "initContainer"}, "train": {"enabled": False}, "runId": "run1-1"},
        "data.runAs is initContainer and train.enabled is false",
        "Set data.runAs to job",
    ),
    (
        {"data": {"runAs": "initContainer", "pod": {"retries": 1, "nodeSelector": {"disk": "ssd"}}}},
        "data.pod sets nodeSelector and retries, which applies to the whole training pod",
        "Set it in train.pod",
    ),
    (
        {"train": {"checkpoints": {"final": False}}},
        "train.checkpoints.final and train.checkpoints.everyEpoch are both false",
        "Set one of them to true",
    ),
    (
        {"train": {"maxSequenceLength": 9000, "maxTokensPerGpu": 8000}},
        "train.maxSequenceLength is 9000 and train.maxTokensPerGpu is 8000",
        "Lower the first or raise the second",
    ),
    (
        {"train": {"maxTokensPerGpu": "auto"}},
        "train.maxTokensPerGpu is auto and preflight.training.gpuMemoryGiB is empty",
        "Set preflight.training.gpuMemoryGiB",
    ),
    (
        {"train": {"maxTokensPerGpu": "auto", "gpus": 0}, "eval": {"gpus": 0}},
        "train.maxTokensPerGpu is auto and train.gpus is 0",
        "a number, such as 4096",
    ),
    (
        {"preflight": {"training": {"gpuMemoryGiB": 80}}, "train": {"gpus": 0}},
        "preflight.training.gpuMemoryGiB is 80 and train.gpus is 0",
        "Remove preflight.training.gpuMemoryGiB",
    ),
    (
        {"preflight": {"training": {"maxHours": 2}}, "train": {"enabled": False}, "runId": "run1-1"},
        "preflight.training.maxHours is set and train.enabled is false",
        "Remove it",
    ),
    (
        {
            "preflight": {"enabled": False, "training": {"maxDroppedShare": 0.1, "maxHours": 2}},
            "data": {"enabled": False},
            "runId": "run1-1",
        },
        "preflight.training.maxDroppedShare, preflight.training.maxHours is set, and data.enabled and "
        "preflight.enabled are both false",
        "Set preflight.enabled to true",
    ),
    (
        {"train": {"gpus": 1, "processesPerNode": 2}},
        "train.processesPerNode is 2 and train.gpus is 1",
        "to auto",
    ),
    ({"train": {"pretraining": {"enabled": True}}}, "train.pretraining.blockSize is empty", "4096"),
    ({"train": {"pretraining": {"blockSize": 8}}}, "train.pretraining.enabled is false", "or remove it"),
    (
        {"data": {"format": "processed"}, "train": {"pretraining": {"enabled": True, "blockSize": 8}}},
        "data.format is processed and train.pretraining.enabled is true",
        "Set data.format to auto",
    ),
    (
        {
            "data": {"columns": {"document": "body"}},
            "train": {"pretraining": {"enabled": True, "blockSize": 8, "documentColumn": "text"}},
        },
        'train.pretraining.documentColumn is "text" and data.columns.document is "body"',
        "Remove one of them",
    ),
    (
        {"data": {"minTokens": 64}, "train": {"maxSequenceLength": 64}},
        "data.minTokens is 64 and train.maxSequenceLength is 64",
        "Lower data.minTokens",
    ),
    ({"train": {"maxSequenceLength": 20}}, "data.minTokens is 20", "raise train.maxSequenceLength"),
    (
        {"train": {"maxSteps": 10, "scheduler": {"warmupSteps": 10}}},
        "train.scheduler.warmupSteps is 10 and train.maxSteps is 10",
        "Lower the first or raise the second",
    ),
    (
        {"train": {"checkpoints": {"storage": "states"}}},
        'train.checkpoints.storage is "states", expected an fsspec address',
        "Leave it empty",
    ),
    ({"train": {"runAs": "job"}}, "train.runAs is job and ordering is cluster", "Set ordering to hooks"),
    (
        overlay(HOOKS, {"train": {"runAs": "job"}, "queue": {"suspend": True}}),
        "queue.suspend is true and train.runAs is job",
        "Set queue.suspend to false",
    ),
    (
        {"train": {"pod": {"resources": {"requests": {"memory": "64Gi"}}}}},
        "train.pod.resources requests 64Gi of memory and limits it to 32Gi",
        "Lower the request",
    ),
    (
        {"eval": {"pod": {"resources": {"limits": {"nvidia.com/gpu": 4}}}}},
        "eval.pod.resources.limits names nvidia.com/gpu, which eval.gpus sets",
        "Remove it",
    ),
    *(
        (
            {"train": {"tracking": {"tensorboardLogDir": folder}}},
            f'train.tracking.tensorboardLogDir is "{folder}", expected a folder inside the workspace',
            "Leave it empty",
        )
        for folder in ("/boards", "/workspace", "/workspace/runs/a", "cache", "runs/../cache", "../b", ".")
    ),
    (
        {"train": {"pretraining": {"enabled": True, "blockSize": 8}, "unmaskMessages": True}},
        "plain text has no messages",
        "Set one of them to false",
    ),
    ({"ordering": "hooks"}, "hooks.timeoutMinutes is empty", "--timeout 24h"),
    *(
        (
            {"train": {"method": method, **values}},
            f"train.{next(iter(values))} is set and train.method is {method}, which does not use it",
            f"Set train.method to {meant}, or remove",
        )
        for method, values, meant in (
            ("osft", {"lora": {"r": 16}}, "lora or qlora"),
            ("lora", {"quantization": {"quantType": "fp4"}}, "qlora"),
            ("sft", {"unfreezeRankRatio": 0.5}, "osft"),
            ("qlora", {"targetPatterns": ["q_proj"]}, "osft"),
        )
    ),
    (
        {"train": {"method": "lora"}, "model": {"resizeEmbeddings": True}},
        "model.resizeEmbeddings is true and train.method is lora: adapters leave the embeddings as they are",
        "model.resizeEmbeddings to false",
    ),
    (
        {"train": {"method": "lora", "lora": {"merge": False}, "extraArgs": {"save_dtype": "float16"}}},
        "train.extraArgs has save_dtype and train.lora.merge is false",
        "set train.lora.merge to true",
    ),
    *(
        (
            {
                "train": {"method": "qlora", "lora": {"merge": False, **lora}},
                "eval": {"backend": backend},
                "images": {"evalVllm": {"tag": "vllm"}},
            },
            f"eval.backend is {backend}, train.lora.merge is false and {words}: vLLM loads only adapters",
            "Set train.lora.merge to true, or eval.backend to hf",
        )
        for backend in ("vllm", "auto")
        for lora, words in (
            ({"useDora": True, "bias": "all"}, "train.lora.useDora is true and train.lora.bias is all"),
            ({"r": 513}, "train.lora.r is 513"),
        )
    ),
    (
        {"data": {"uri": "http://data.example.com:99999/rows.jsonl"}},
        'has the host "data.example.com" and the port 99999',
        "Correct the port",
    ),
    (
        {"eval": {"pod": {"ttlSeconds": 600}}},
        "stageDefaults or the pod of eval sets ttlSeconds",
        "Remove ttlSeconds",
    ),
    (
        {"queue": {"priorityClass": "high"}},
        "queue.priorityClass is set and queue.name is empty",
        "Set queue.name",
    ),
    ({"eval": {"tasks": [], "holdout": {"enabled": False}}}, "there is nothing to evaluate", "Name a task"),
    ({"eval": {"backend": "openai"}}, "eval.baseUrl is empty", "Set it"),
    ({"eval": {"baseUrl": "http://x"}}, "eval.backend is hf, which does not use a server", "to openai"),
    (
        {"eval": {"tasks": ["arc_easy", "osft_retention", "mmlu"]}},
        "eval.tasks names arc_easy, mmlu, not included in the eval image",
        "Set eval.downloadBenchmarks to true",
    ),
    (
        {"eval": {"gates": {"holdoutMustImprove": True}}, "data": {"trainFraction": 1}},
        "there are no held-out rows",
        "Set data.evalUri",
    ),
    (
        {"eval": {"tasks": [], "gates": {"maxTaskDrop": 0}}},
        "eval.gates limits the drop of tasks and eval.tasks is empty",
        "Set eval.tasks",
    ),
    (
        {"register": {"metadata": {"team": "search", "eval_owner": "us", "osft_x": 1}}},
        "register.metadata holds eval_owner, osft_x, but names that begin with",
        "Choose other names",
    ),
    (
        {"register": {"address": "ftp://registry:8080"}},
        "register.address is ftp://registry:8080, expected http://<host>",
        "Correct it",
    ),
    ({"register": {"tls": {"caSecret": "a", "caConfigMap": "b"}}}, "are both set", "Remove one"),
    (
        {"register": {"tls": {"caSecret": "a", "skipVerify": True}}},
        "register.tls.skipVerify is true",
        "Set register.tls.skipVerify to false",
    ),
    ({"train": {"nodes": 2}}, "is not ReadWriteMany", "Set workspace.accessModes to [ReadWriteMany]"),
    (
        {"workspace": {"size": "10Gi"}},
        "workspace.size is 10Gi and workspace.minFreeGiB is 20",
        "Raise the first",
    ),
    (
        {"secrets": {"hf": {"existing": "a", "create": {"token": "canary"}}}},
        "secrets.hf.existing names the Secret a, and secrets.hf.create has values",
        "Remove one",
    ),
    (
        {"secrets": {"s3": {"create": {"accessKeyId": "canary"}}}},
        "secrets.s3.create has only accessKeyId",
        "Set both",
    ),
    (
        {"data": {"enabled": False}},
        "data.enabled is false, so later stages need",
        "Set runId to that run's folder",
    ),
    ({"train": {"enabled": False}}, "train.enabled is false, so later stages need", "Set runId"),
    (
        {s: {"enabled": False} for s in ("data", "train", "eval", "register")},
        "data.enabled, train.enabled, eval.enabled and register.enabled are all false",
        "Set at least one of them to true",
    ),
]


@pytest.mark.parametrize(("values", "seen", "remedy"), CASES, ids=[case[1][:60] for case in CASES])
def test_a_values_problem_is_named_with_how_to_fix_it(values: Object, seen: str, remedy: str) -> None:
    (problem,) = problems(values)
    assert seen in problem
    assert remedy in problem
    assert "canary" not in problem


def test_all_values_problems_are_listed_at_once() -> None:
    values = {
        "data": {"uri": ""},
        "train": {"nodes": 2, "checkpoints": {"final": False}},
        "ordering": "hooks",
    }
    for helm in ("helm3", "helm4"):
        found = problems(values, helm=helm)
        assert len(found) == 4
        assert all(re.search(r"\. ?(Set|Install)|: install|Set ", problem) for problem in found)


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:canary@data.example.com/rows.jsonl",
        "https://bucket.example.com/rows.jsonl?X-Amz-Credential=x&X-Amz-Signature=canary",
        "https://account.example.net/c/rows.jsonl?sv=1&sig=canary",
        "s3://id:canary@bucket/rows",
    ],
)
@pytest.mark.parametrize("place", ["data uri", "data evalUri", "model uri", "register address"])
def test_a_credential_in_an_address_is_refused_and_not_repeated(uri: str, place: str) -> None:
    section, key = place.split()
    (problem,) = problems({section: {key: uri}})
    assert "carries a credential" in problem and "OSFT_DATA_URI" in problem
    assert "canary" not in problem


@pytest.mark.parametrize("name", ["1run", "my.run"])
def test_a_release_name_that_no_trainjob_can_have_is_refused(name: str) -> None:
    (problem,) = problems({}, name=name)
    assert f'the release is called "{name}"' in problem


@pytest.mark.parametrize(("values", "longest"), [({}, 26), (HOOKS, 22)], ids=["cluster", "hooks"])
def test_a_release_name_that_is_too_long_is_refused_with_how_much(values: Object, longest: int) -> None:
    (problem,) = problems(values, name="r" * (longest + 3))
    assert problem.endswith("Shorten the release's name by 3.")
    assert render(values, name="r" * longest)


def test_a_cluster_without_trainer_is_told_what_to_do() -> None:
    (problem,) = problems({}, flags=LIVE)
    assert "no Kubeflow Trainer" in problem and "and train.runAs: job" in problem
    assert render({}, flags=TRAINER)
    assert render(overlay(HOOKS, {"train": {"runAs": "job"}}), flags=LIVE)


def test_what_cannot_be_looked_up_is_not_taken_for_missing() -> None:
    """Argo CD gives the capabilities of its cluster and answers no look-up."""
    values = {"workspace": {"existingClaim": "disk"}, "data": {"uri": "pvc://rows/a.jsonl"}}
    assert render(values, flags=TRAINER)


def test_what_looks_odd_but_is_right_is_taken() -> None:
    for values in (
        {"eval": {"tasks": ["arc_easy"], "downloadBenchmarks": True}},
        {"eval": {"tasks": ["ours"], "includePath": "/tasks"}},
        {"eval": {"tasks": ["arc_easy"], "pod": {"env": {"HF_HOME": "/workspace/hub"}}}},
        {"eval": {"tasks": []}},
        {"data": {"trainFraction": 1}},
        {"data": {"minTokens": 0}, "train": {"maxSequenceLength": 2}},
        {"data": {"format": "processed"}, "train": {"maxSequenceLength": 20}},
        {"train": {"maxSequenceLength": 8, "pretraining": {"enabled": True, "blockSize": 8}}},
        {
            "data": {"columns": {"document": "text"}},
            "train": {"pretraining": {"enabled": True, "blockSize": 8, "documentColumn": "text"}},
        },
        {"train": {"checkpoints": {"final": False, "everyEpoch": True}}},
        {"train": {"maxTokensPerGpu": "auto"}, "preflight": {"training": {"gpuMemoryGiB": 80}}},
        {"workspace": {"existingClaim": "shared"}, "train": {"nodes": 2}},
        {"data": {"uri": "https://data.example.com/rows.jsonl?version=3"}},
        overlay(HOOKS, {"train": {"pod": {"deadlineMinutes": 90}}}),
    ):
        assert render(values)


@pytest.mark.parametrize("key", ["data.uri", "data.evalUri", "model.uri"])
@pytest.mark.parametrize(
    "address",
    ["gs://b/x", "my.jsonl", "ftp://host/x", "file:///x", "abfs://c/x", "hf://a/b", "HF://a/b", "org/name",
     "/abs", "pvc://c/x", "s3://b/k", "https://host/x", "gpt2", "hdfs:/x", "org/name@main", "a/b/c",
     "hf://<org>/<name>", "HF://<org>/x", "hf://org/x:<config>", "s3://<bucket>/<key>", "https://<address>", "hf://gpt2"],
)  # fmt: skip
def test_an_address_is_refused_as_the_stage_would_refuse_it(key: str, address: str) -> None:
    section, name = key.split(".")
    values = {section: {name: address}}
    parsing = staging.parse if section == "model" else parse
    try:
        parsing(address)
    except UserError as error:
        assert problems(values) == [f"{key}: {error.message}"]
    else:
        assert render(values)
