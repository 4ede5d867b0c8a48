"""What a finished registration holds, read back from the real server and by the official client."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from osft_workspace import digest_json
from tests.stages.register.conftest import RUN, Stage
from tests.support.eval_results import Task
from tests.support.registry import Registry, witness
from tests.support.tuned_run import make_tuned_run


def test_the_official_client_reads_what_was_registered(stage: Stage, registry: Registry) -> None:
    record = stage.done(
        "--version=v1", "--author=Ada", "--owner=Team", "--description=about the model",
        "--version-description=about the version", "--namespace=ml", "--release=demo",
        '--metadata={"team": "search", "tier": 2, "share": 0.5, "good": true, "nightly": "", "none": null}',
    )  # fmt: skip
    seen = witness(registry.address, stage.name, "v1")
    assert seen["model"] == {
        "id": record["details"]["registered_model_id"],
        "name": stage.name,
        "owner": "Team",
        "description": "about the model",
    }
    assert seen["version"] == {
        "id": record["details"]["model_version_id"],
        "author": "Ada",
        "description": "about the version",
    }
    assert seen["artifact"] == {
        "id": record["details"]["model_artifact_id"],
        "state": "LIVE",
        "uri": f"pvc://osft-ws/runs/{RUN}/train/model",
        "model_format_name": "safetensors",
        "model_format_version": "1",
        "model_source_kind": "osft-pipeline",
        "model_source_class": "run",
        "model_source_group": "ml",
        "model_source_id": RUN,
        "model_source_name": f"ml/{RUN}",
    }
    properties = seen["properties"]
    wanted = {
        "osft_run_id": RUN,
        "osft_release": "demo",
        "base_model": "hf://HuggingFaceTB/SmolLM2-135M-Instruct",
        "base_model_license": "apache-2.0",
        "data_uri": "hf://org/chat:en",
        "data_revision": "abc123",
        "data_rows_train": 1752,
        "data_rows_eval": 200,
        "data_rows_read": 2010,
        "data_rows_rejected": 10,
        "data_rows_dropped_short": 46,
        "data_rows_dropped_long": 2,
        "data_end_of_turn": "<|im_end|>",
        "eval_holdout_rows": 200,
        "training_learning_rate": 5e-5,
        "training_final_loss": 2.31,
        "training_seconds": 301.5,
        "training_use_liger": False,
        "training_tokens": 12_345_678_901.0,
        "eval_gates_passed": True,
        "eval_primary_metric": "holdout_loss",
        "eval_osft_capitals_base": 122 / 149,
        "eval_osft_capitals_tuned": 116 / 149,
        "eval_osft_capitals_delta": 116 / 149 - 122 / 149,
        "eval_osft_capitals_n": 149,
        "eval_holdout_loss_base": 3.84,
        "eval_holdout_loss_tuned": 2.69,
        "team": "search",
        "tier": 2,
        "share": 0.5,
        "good": True,
        "nightly": "",
    }
    assert {key: properties.get(key) for key in wanted} == wanted
    assert properties["eval_holdout_loss_delta"] == pytest.approx(-1.15)
    assert "none" not in properties
    assert {key for key in properties if "rows" in key} == {key for key in wanted if "rows" in key}
    assert not [key for key in properties if "training_training" in key or "eval_eval" in key]


def test_numbers_and_truths_keep_their_types_on_the_server(stage: Stage, registry: Registry) -> None:
    stage.done(
        '--metadata={"most": 999999999, "more": 1000000000, "huge": 99999999999999999999, "list": [1, "a"]}'
    )
    (version,) = registry.versions(stage.name)
    kinds = {key: value["metadataType"] for key, value in version["customProperties"].items()}
    assert kinds["eval_osft_capitals_n"] == kinds["training_steps"] == kinds["most"] == "MetadataIntValue"
    assert (
        kinds["eval_osft_capitals_base"] == kinds["training_tokens"] == kinds["more"] == "MetadataDoubleValue"
    )
    assert kinds["eval_gates_passed"] == kinds["training_use_liger"] == "MetadataBoolValue"
    assert kinds["osft_run_id"] == "MetadataStringValue"
    assert version["customProperties"]["huge"]["string_value"] == "99999999999999999999"
    assert version["customProperties"]["list"]["string_value"] == '[1, "a"]'


def test_a_figure_that_is_not_a_number_is_left_out(stage: Stage, registry: Registry) -> None:
    stage.done()
    (version,) = registry.versions(stage.name)
    assert "eval_odd|name_base" in version["customProperties"]
    assert "eval_odd|name_p_value" not in version["customProperties"]


def test_no_secret_reaches_the_registry(stage: Stage, registry: Registry) -> None:
    stage.done(
        '--metadata={"note": "key hf_canary_5f0c1e", "page": "https://me:word@wiki/a?sig=canary"}',
        "--uri=https://me:word@models/a?sig=canary",
        env={"HF_TOKEN": "hf_canary_5f0c1e"},
    )
    (version,) = registry.versions(stage.name)
    (artifact,) = registry.artifacts(version)
    written = json.dumps([version, artifact])
    assert "canary" not in written and "word@" not in written
    assert artifact["uri"] == "https://models/a"


FORGED = "a\x1b[1m\n# b\u2028\u202e<script>"


def test_what_a_user_writes_is_registered_printable(stage: Stage, registry: Registry) -> None:
    fields = ("owner", "author", "description", "version-description", "format-name")
    stage.done(
        *(f"--{name}={FORGED} hf_canary_5f0c1e" for name in fields),
        f"--metadata={json.dumps({'note': FORGED})}",
        env={"HF_TOKEN": "hf_canary_5f0c1e"},
    )
    (version,) = registry.versions(stage.name)
    (model,) = registry.models(stage.name)
    (artifact,) = registry.artifacts(version)
    kept = r"a\x1b[1m # b \u202e<script>"
    assert version["author"] == version["description"] == f"{kept} <HF_TOKEN>"
    assert model["owner"] == model["description"] == artifact["modelFormatName"] == f"{kept} <HF_TOKEN>"
    assert version["customProperties"]["note"]["string_value"] == kept
    card = (stage.workspace / "runs" / RUN / "register" / "model-card.md").read_text()
    assert all(line.isprintable() for line in card.split("\n"))
    assert "<script>" not in card and "canary" not in card


def test_an_invalid_address_leaves_an_earlier_record(stage: Stage) -> None:
    before = stage.done()
    assert stage.run("--address=http://[::1")[0] == 2
    assert stage.record() == before


def test_the_record_says_where_the_version_is(stage: Stage, registry: Registry) -> None:
    details = stage.done()["details"]
    (version,) = registry.versions(stage.name)
    assert details["url"] == f"{registry.address}/api/model_registry/v1alpha3/model_versions/{version['id']}"
    assert (details["api"], details["version"]) == ("v1alpha3", RUN)


@pytest.mark.parametrize("name", ["team/chat model", 'Größe 模型 🎉 it\'s 50% "off" \\ _new_ a:b'])
def test_any_printable_name_is_registered_under_exactly_that_name(
    stage: Stage, registry: Registry, name: str
) -> None:
    stage.name = name
    stage.done(f"--version={name}")
    (version,) = registry.versions(name)
    assert version["name"] == name
    stage.done(f"--version={name}", "--version-description=again")
    assert [v["id"] for v in registry.versions(name)] == [version["id"]]
    assert [a["name"] for a in registry.artifacts(version)] == [name]


def test_names_that_only_look_alike_to_the_server_are_kept_apart(stage: Stage, registry: Registry) -> None:
    """The server searches names with SQL's LIKE, where `_` stands for every character."""
    stage.name = "look-alike"
    stage.done("--version=v-1")
    stage.name = "look_alike"
    stage.done("--version=v_1")
    stage.done("--version=v_1", "--version-description=again")
    assert [v["name"] for v in registry.versions("look-alike")] == ["v-1"]
    assert [v["name"] for v in registry.versions("look_alike")] == ["v_1"]


def test_a_name_in_other_capitals_is_reported_and_not_a_second_model(
    stage: Stage, registry: Registry
) -> None:
    stage.name = "Capital"
    stage.done()
    stage.name = "capital"
    code, printed = stage.run()
    assert code == 2, printed
    assert "it treats as equal to 'capital'" in printed


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--name= padded ", "no space at either end"),
        ("--version=two\nlines", "no line breaks"),
        (f"--name={'n' * 300}", "expected 1 to 200 characters"),
        ('--metadata={"eval_note": 1}', "register.metadata holds eval_note"),
        ("--metadata=[1]", "is JSON of another type"),
        ("--metadata={", "is not JSON"),
        ('--metadata={"ratio": NaN}', "is not JSON (Out of range float"),
        ('--metadata={"ratio": 1e999}', "is not JSON"),
        ('--metadata={"half": "\\ud83d"}', "is not JSON"),
        ("--port=65536", "Invalid value for '--port'"),
        ("--timeout-seconds=nan", "Invalid value for '--timeout-seconds'"),
        ('--metadata={"a\\nb": 1}', "expected names of 1 to 200 printable characters"),
        ("--description=caf\udce9", r"the input description holds 'caf\xe9', which is not UTF-8"),
        ("--claim=My_Claim", "expected the PVC's name as kubectl shows it"),
        ("--address=http://ü..x", "is not a registry address"),
        ("--claim=", "neither a claim nor a URI"),
        ("--address=ftp://registry", "is not a registry address"),
    ],
)
def test_what_cannot_be_registered_is_rejected_with_a_message(
    stage: Stage, registry: Registry, flag: str, words: str
) -> None:
    code, printed = stage.run(flag)
    assert code == 2, printed
    assert words in printed
    assert not registry.models(stage.name)


def test_an_archived_model_is_rejected(stage: Stage, registry: Registry) -> None:
    model = registry.post("registered_models", {"name": stage.name, "state": "ARCHIVED"})
    code, printed = stage.run()
    assert code == 2, printed
    assert "is archived" in printed
    assert registry.get(f"registered_models/{model['id']}")["state"] == "ARCHIVED"


def test_a_refused_model_is_not_registered(fresh_stage: Callable[..., Stage], registry: Registry) -> None:
    stage = fresh_stage(refused=True)
    code, printed = stage.run()
    assert code == 3, printed
    assert "capitals fell by 9 points" in printed
    assert not registry.models(stage.name)
    assert not (stage.workspace / "runs" / RUN / "register" / "record.json").exists()


def test_without_eval_the_version_says_that_it_was_not_judged(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    stage = fresh_stage(with_eval=False)
    code, printed = stage.run()
    assert code == 2 and "eval of run" in printed
    stage.done("--no-eval")
    (version,) = registry.versions(stage.name)
    assert version["customProperties"]["eval_done"]["bool_value"] is False
    assert "Not evaluated" in (stage.workspace / "runs" / RUN / "register" / "model-card.md").read_text()


def test_results_of_another_training_are_rejected(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    stage = fresh_stage()
    run = stage.workspace / "runs" / RUN
    (run / "eval").rename(run / "eval-of-the-first")
    (run / "train" / "record.json").unlink()
    make_tuned_run(stage.workspace, RUN, weights=b"other weights", with_eval=False)
    (run / "eval-of-the-first").rename(run / "eval")
    code, printed = stage.run()
    assert code == 2, printed
    assert "evaluated a different training" in printed
    assert not registry.models(stage.name)


def test_a_model_whose_code_was_trusted_says_so_in_the_card_and_the_registry(
    stage: Stage, registry: Registry
) -> None:
    run = stage.workspace / "runs" / RUN
    for name in ("download", "train", "eval"):
        (run / name / "record.json").unlink()
    make_tuned_run(stage.workspace, RUN, trusted=True)
    stage.done("--version=v1")
    assert witness(registry.address, stage.name, "v1")["properties"]["base_model_trust_remote_code"] is True
    card = (run / "register" / "model-card.md").read_text()
    assert "AutoTokenizer.from_pretrained(path, trust_remote_code=True)" in card
    assert "It includes Python code that runs" in card


def test_an_empty_address_leaves_registration_out_and_says_so(stage: Stage) -> None:
    code, printed = stage.run("--address=")
    record = stage.record()
    assert (code, record["status"]) == (0, "skipped")
    assert "no registry address is set" in record["message"]
    assert record["message"] in printed
    assert [output["path"] for output in record["outputs"]] == ["model-card.md", "provenance.json"]


def test_card_and_provenance_are_the_same_bytes_for_the_same_evidence(
    fresh_stage: Callable[..., Stage],
) -> None:
    written = []
    for folder in ("one", "two"):
        stage = fresh_stage(folder)
        stage.done("--address=", "--namespace=ml")
        register = stage.workspace / "runs" / RUN / "register"
        written.append([(register / name).read_bytes() for name in ("model-card.md", "provenance.json")])
    assert written[0] == written[1]


def test_the_card_can_be_read_by_hubs_and_people(stage: Stage) -> None:
    stage.done("--address=", "--description=A model for tests.")
    card = (stage.workspace / "runs" / RUN / "register" / "model-card.md").read_text()
    _, head, text = card.split("---\n", 2)
    front = yaml.safe_load(head)
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert front["datasets"] == ["org/chat"]
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "transformers"
    assert "| Loss | 3.840 | 2.690 | -1.150 |" in text
    assert "| World capitals | 149 | 81.9 % | 77.9 % | -4.0 | 2 | 8 | 0.11 | no clear change |" in text
    assert "| Odd \\| name | 3 | 1 | 1 | 0 | - | - | - | not tested |" in text
    for became in (
        "trained on | 1752", "held out for evaluation | 200", "rejected | 10",
        "dropped: fewer tokens than data.minTokens | 46",
        "dropped: as many tokens as train.maxSequenceLength, or more | 2",
    ):  # fmt: skip
        assert f"| {became} |" in text
    assert "| Peak memory of a process | planned 1.50 GiB, measured 1.38 GiB |" in text
    assert "| Training time | planned 4 min, measured 5 min |" in text
    assert r"| hf\://org/chat:en | abc123 | 2000 |" in text
    assert "no token to learn" not in text, "a reason without a row is not said"
    assert "The end-of-turn mark is `<|im_end|>`." in text
    assert f'path = "WORKSPACE/runs/{RUN}/train/model"' in text
    assert "A model for tests." in text


def test_a_fall_of_the_suite_comes_first_in_the_card_though_no_task_fell_for_sure(stage: Stage) -> None:
    """The gate allowed the fall, so that `passed` does not stand alone."""
    stage.done("--address=")
    run = stage.workspace / "runs" / RUN
    paragraphs = (run / "register" / "model-card.md").read_text().split("---\n", 2)[2].strip().split("\n\n")
    summary = json.loads((run / "eval" / "results.json").read_text())["summary"]
    assert paragraphs[1] == summary["headline"]
    assert paragraphs[1] == "It learned the new rows, but it forgot some of what it knew."
    allowed = "Retention suite fell by 2.3 points, more than expected by chance, and the gate allows 6."
    assert paragraphs[2] == f"Gates passed: {allowed}"
    (table,) = (part for part in paragraphs if part.startswith("| task |"))
    assert table.splitlines()[2] == (
        r"| **Retention suite** | 724 | 82.9 % | 80.5 % | -2.3 | 7 | 24 | 0.003 | fell |"
    )
    assert paragraphs[paragraphs.index(table) + 1].startswith("Retention suite fell by more than expected")
    closest = "Currencies of countries is closest to its limit: it fell by 4.4 points, and 6 are allowed."
    assert closest in paragraphs


def test_the_registry_can_be_asked_for_what_was_forgotten(stage: Stage, registry: Registry) -> None:
    stage.done("--version=v1")
    properties = witness(registry.address, stage.name, "v1")["properties"]
    wanted = {
        "eval_verdict": "worse",
        "eval_learned": "learned",
        "eval_headline": "It learned the new rows, but it forgot some of what it knew.",
        "eval_gates": "Gates passed: Retention suite fell by 2.3 points, more than expected by chance, and "
        "the gate allows 6.",
        "eval_gates_passed": True,
        "eval_gates_closest": "osft_currencies",
        "eval_gates_allowed": 6.0,
        "eval_gates_used": pytest.approx(100 * 4 / 90),
        "eval_groups": "osft_retention",
        "eval_osft_retention_base": 600 / 724,
        "eval_osft_retention_tuned": 583 / 724,
        "eval_osft_retention_points": pytest.approx(-100 * 17 / 724),
        "eval_osft_retention_p_value": pytest.approx(0.003327, abs=1e-6),
        "eval_osft_retention_verdict": "worse",
        "eval_osft_retention_gate_allowed": 6.0,
        "eval_osft_retention_gate_used": pytest.approx(100 * 17 / 724),
        "eval_osft_grammar_verdict": "unchanged",
        "eval_osft_grammar_gate_used": 0.0,
    }
    assert {key: properties.get(key) for key in wanted} == wanted


def test_without_gates_and_falls_neither_the_card_nor_the_registry_says_one(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    stage = fresh_stage(rules={}, tasks={"osft_grammar": Task("Agreement in English", 136, 113, 3, 1)})
    stage.done("--version=v1")
    properties = witness(registry.address, stage.name, "v1")["properties"]
    assert (properties["eval_verdict"], properties["eval_gates"]) == ("unchanged", "No gates set.")
    assert not [key for key in properties if "gate_" in key or "allowed" in key or key == "eval_groups"]
    card = (stage.workspace / "runs" / RUN / "register" / "model-card.md").read_text()
    assert "\n\nIt learned the new rows, and no forgetting was found.\n\nNo gates set.\n\n" in card


def test_an_evaluation_of_an_older_version_must_be_run_again(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    """Version 1 of the results had figures and no words on them."""
    stage = fresh_stage(schema="osft-pipeline/eval-results/v1")
    code, printed = stage.run()
    assert code == 2, printed
    assert "has schema 'osft-pipeline/eval-results/v1', expected 'osft-pipeline/eval-results/v2'" in printed
    assert "Run eval again with the images of this version, then register." in printed
    assert not registry.models(stage.name)


def test_provenance_holds_the_digest_of_every_file(stage: Stage) -> None:
    stage.done("--address=", "--release=demo")
    run = stage.workspace / "runs" / RUN
    provenance = json.loads((run / "register" / "provenance.json").read_text())
    files = {file["path"]: file["sha256"] for file in provenance["model"]["files"]}
    train = json.loads((run / "train" / "record.json").read_text())
    assert {f"model/{path}": digest for path, digest in files.items()} == {
        output["path"]: output["sha256"] for output in train["outputs"]
    }
    assert provenance["model"]["digest"] == train["details"]["model"]["digest"]
    assert set(provenance["stages"]) == {"download", "train", "eval"}
    assert provenance["release"] == "demo"
    assert str(Path.cwd()) not in json.dumps(provenance)


def test_an_adapter_is_registered_with_its_base_model(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    stage = fresh_stage(adapter={"r": 20, "bias": "none", "use_dora": False})
    stage.done("--version=v1")
    seen = witness(registry.address, stage.name, "v1")
    assert seen["artifact"]["uri"] == f"pvc://osft-ws/runs/{RUN}/train/adapter"
    properties = seen["properties"]
    assert properties["osft_model_kind"] == "adapter"
    assert properties["base_model"] == "hf://HuggingFaceTB/SmolLM2-135M-Instruct"
    assert properties["base_model_digest"] == digest_json("base")
    assert properties["base_model_pvc_uri"] == "pvc://osft-ws/cache/models/0f"
    assert properties["training_adapter_path"] == "train/adapter"
    folder = stage.workspace / "runs" / RUN / "register"
    provenance = json.loads((folder / "provenance.json").read_text())["model"]
    assert (provenance["kind"], provenance["path"]) == ("adapter", f"runs/{RUN}/train/adapter")
    card = (folder / "model-card.md").read_text()
    assert "low-rank adapters (LoRA) in run" in card
    served = "vllm serve WORKSPACE/cache/models/0f --enable-lora --max-lora-rank 32 --lora-modules "
    assert f"{served}{RUN}=WORKSPACE/runs/{RUN}/train/adapter\n" in card


def test_the_card_says_which_adapters_vllm_cannot_load(fresh_stage: Callable[..., Stage]) -> None:
    stage = fresh_stage(adapter={"r": 8, "bias": "all", "use_dora": True})
    stage.done("--address=")
    card = (stage.workspace / "runs" / RUN / "register" / "model-card.md").read_text()
    assert "vLLM cannot load this adapter (`train.lora.useDora is true, train.lora.bias is all`)" in card
    assert "vllm serve" not in card


def test_a_version_and_its_card_name_the_run_that_it_continues_and_the_first_base_model(
    fresh_stage: Callable[..., Stage], registry: Registry
) -> None:
    parent = "task1-00000001"
    link = {
        "run": parent,
        "base": {"uri": "hf://org/first", "digest": "sha256:f", "license": "mit"},
        "model": {"path": "train/model", "digest": "sha256:p"},
    }
    stage = fresh_stage(chain={"asked": "task1", "links": [link]})
    make_tuned_run(stage.workspace, parent)
    stage.done("--version=first", run_id=parent)
    stage.done("--version=second")
    properties = witness(registry.address, stage.name, "second")["properties"]
    wanted = {
        "osft_parent_run": parent,
        "osft_parent_version": "first",
        "osft_parent_digest": "sha256:p",
        "osft_chain": parent,
        "osft_first_base_model": "hf://org/first",
        "osft_first_base_model_digest": "sha256:f",
    }
    assert wanted.items() <= properties.items()
    folder = stage.workspace / "runs" / RUN / "register"
    card = (folder / "model-card.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["base_model"] == "org/first"
    assert f"It continues run `{parent}`, version `first`." in card and "`hf://org/first`" in card
    assert json.loads((folder / "provenance.json").read_text())["chain"][0]["run"] == parent
