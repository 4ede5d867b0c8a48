"""Keys of Kaito's sections that have no counterpart here, each with the reason."""

from typing import Any

from osft_workspace.training_keys import SECTIONS, Without

UNSET = ("none", "", "[]", "{}", "false")
NOT_THE_ENGINE = "training here has no such setting"
TABLE: dict[str, list[tuple[str, tuple[Any, ...] | None, str]]] = {
    "ModelConfig": [
        (
            "code that comes with a model runs only where the values allow it: set model.trustRemoteCode",
            ("false",),
            "trust_remote_code",
        ),
        (
            "the base model is held and computed with in bfloat16; train.extraArgs.train_dtype "
            "sets the format "
            "of weights that osft and sft train",
            ("bfloat16", "torch.bfloat16", "auto"),
            "torch_dtype dtype",
        ),
        (
            "the tokenizer's own template is used: give the model a folder with yours (model.uri)",
            (),
            "chat_template",
        ),
        ("train.gpus says what trains", None, "device_map"),
        (
            "the download stage fetches the model, and training reads it from the workspace",
            None,
            "local_files_only cache_dir force_download resume_download output_loading_info",
        ),
        ("a proxy is set in data.pod.env", UNSET, "proxies"),
        ("it stands in QuantizationConfig", UNSET, "load_in_4bit"),
        (NOT_THE_ENGINE, UNSET, "state_dict from_tf load_in_8bit"),
    ],
    "QuantizationConfig": [
        (
            "the base model is held in 16 bits (train.method: lora) or in 4 (qlora)",
            UNSET,
            "load_in_8bit _load_in_8bit _load_in_4bit",
        ),
        ("bitsandbytes is what quantizes here", ("bitsandbytes",), "quant_method"),
        ("the base model is stored in bytes", ("none", "uint8"), "bnb_4bit_quant_storage"),
        (
            "it is for base models in 8 bits",
            None,
            "llm_int8_threshold llm_int8_skip_modules llm_int8_enable_fp32_cpu_offload "
            "llm_int8_has_fp16_weight",
        ),
    ],
    "LoraConfig": [
        ("adapters of causal language models are trained", ("none", "causal_lm"), "task_type"),
        ("adapters of this kind are trained", ("none", "lora"), "peft_type"),
        ("adapters begin as PEFT begins them by default", ("true",), "init_lora_weights"),
        (
            "PEFT writes it",
            None,
            "auto_mapping base_model_name_or_path revision peft_version runtime_config megatron_core "
            "qalora_group_size",
        ),
        (
            "adapters here have no such setting",
            UNSET,
            "inference_mode exclude_modules fan_in_fan_out modules_to_save layers_to_transform "
            "layers_pattern "
            "rank_pattern alpha_pattern megatron_config trainable_token_indices loftq_config eva_config "
            "corda_config lora_ga_config velora_config alora_invocation_tokens use_qalora monteclora_config "
            "layer_replication lora_bias target_parameters use_bdlora arrow_config kasa_config "
            "ensure_weight_tying",
        ),
    ],
    "TrainingArguments": [
        (
            "every run has its own folder in the workspace",
            None,
            "output_dir overwrite_output_dir logging_dir run_name project",
        ),
        (
            "the number of steps is known only once the rows are encoded: give warmup_steps",
            ("0", "0.0", "none"),
            "warmup_ratio",
        ),
        (
            "AdamW of PyTorch trains here",
            ("adamw_torch", "adamw_torch_fused", "adamw_hf"),
            "optim",
        ),
        ("gradients are clipped to a norm of 1", ("1", "1.0"), "max_grad_norm"),
        (
            "train.seed is also the seed of the order of rows",
            ("none",),
            "data_seed",
        ),
        (
            "rows are drawn at random",
            ("false", "random", "none"),
            "group_by_length train_sampling_strategy",
        ),
        ("the loss is the mean over the tokens of all processes", ("true",), "average_tokens_across_devices"),
        (
            "passes compute in bfloat16",
            ("false",),
            "fp16",
        ),
        (
            "passes compute in bfloat16, on a CPU without it in float32",
            None,
            "bf16 tf32 fp16_full_eval bf16_full_eval half_precision_backend fp16_backend fp16_opt_level",
        ),
        (
            "trackers are set in train.tracking",
            ("none", "[]", "['none']", "tensorboard", "['tensorboard']"),
            "report_to",
        ),
        ("the token of the hub is a Secret: secrets.hf", (), "hub_token push_to_hub_token"),
        ("the model stays in the workspace and is registered from there (register)", UNSET, "push_to_hub"),
        (
            "nothing is pushed to the hub",
            None,
            "hub_model_id hub_strategy hub_private_repo hub_always_push hub_revision push_to_hub_model_id "
            "push_to_hub_organization trackio_space_id trackio_bucket_id trackio_static_space_id",
        ),
        (
            "the model of the best step is kept with train.extraArgs.save_best_val_loss",
            UNSET,
            "load_best_model_at_end",
        ),
        (
            "train.checkpoints says when full states are saved, and a start resumes from the newest",
            None,
            "save_steps save_total_limit save_only_model save_on_each_node save_safetensors "
            "enable_jit_checkpoint resume_from_checkpoint ignore_data_skip "
            "restore_callback_states_from_checkpoint",
        ),
        (
            "train.evalEvery says when the loss of held-out rows is measured",
            None,
            "eval_strategy evaluation_strategy eval_steps eval_delay eval_on_start eval_accumulation_steps "
            "eval_do_concat_batches eval_use_gather_object per_device_eval_batch_size "
            "per_gpu_eval_batch_size "
            "prediction_loss_only batch_eval_metrics include_for_metrics include_inputs_for_metrics "
            "metric_for_best_model greater_is_better do_train do_eval do_predict",
        ),
        (
            "progress is logged at every step",
            None,
            "logging_strategy logging_steps logging_first_step logging_nan_inf_filter log_level "
            "log_level_replica log_on_each_node disable_tqdm include_num_input_tokens_seen "
            "include_tokens_per_second skip_memory_metrics debug",
        ),
        (
            "batches are filled up to train.maxTokensPerGpu, and the engine keeps memory and processes",
            None,
            "auto_find_batch_size gradient_checkpointing gradient_checkpointing_kwargs "
            "torch_empty_cache_steps "
            "use_cache dataloader_drop_last dataloader_num_workers dataloader_pin_memory "
            "dataloader_persistent_workers dataloader_prefetch_factor dataloader_multiprocessing_context "
            "dataloader_in_order remove_unused_columns length_column_name ddp_find_unused_parameters "
            "ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout local_rank "
            "liger_kernel_config torch_compile torch_compile_backend torch_compile_mode",
        ),
        ("set train.gpus to 0 to train on the CPU", UNSET, "use_cpu no_cuda"),
        (
            NOT_THE_ENGINE,
            UNSET,
            "optim_args optim_target_modules label_names neftune_noise_alpha full_determinism "
            "fsdp fsdp_config "
            "deepspeed accelerator_config parallelism_config past_index per_gpu_train_batch_size",
        ),
        (NOT_THE_ENGINE, ("0", "0.0"), "label_smoothing_factor"),
    ],
    "DataCollator": [
        # Kaito's own ConfigMaps say true, and it continues with false: these models have no mask token.
        ("causal language models learn the next token, for which it is false", None, "mlm"),
        (
            "it is for masked language models",
            None,
            "mlm_probability mask_replace_prob random_replace_prob whole_word_mask seed",
        ),
        ("rows are not padded", None, "pad_to_multiple_of return_tensors tf_experimental_compile tokenizer"),
    ],
    "DatasetConfig": [
        ("data.uri names the rows, because the chart mounts and opens what it names", (), "dataset_path"),
        ("each file's own ending says what it is", None, "dataset_extension"),
    ],
}
WITHOUT: dict[str, dict[str, Without]] = {
    section: {
        name: Without(reason, harmless)
        for reason, harmless, names in TABLE[section]
        for name in names.split()
    }
    for section in SECTIONS
}
