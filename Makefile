.DEFAULT_GOAL := help
# Libraries are compiled once, not at every start of a stage, whatever the caller's habit is.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test test-vllm fuzz lint e2e images generate lock venvs tools bench clean

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.* ## /\1	/p' $(MAKEFILE_LIST) | expand -t 10

demo: ## Tune, evaluate and register a small language model on this machine (KEEP=1, REGISTRY=none or an address)
	@scripts/prerequisites demo
	@scripts/setup demo
	@scripts/demo

test: ## Run the tests: all, or those whose names contain one word, make test K=word
	@scripts/prerequisites test
	@scripts/setup test
	@.venvs/dev/bin/pytest --numprocesses=$$(($$(nproc) < 3 ? $$(nproc) + 1 : 4)) --dist=loadscope --no-loadscope-reorder --durations=10 $(if $(K),-k "$(K)")

test-vllm: ## Test the evaluation with vLLM on the CPU, in an environment of its own (5 GB)
	@scripts/prerequisites test
	@scripts/setup dev train eval-vllm
	@.venvs/dev/bin/pytest tests/vllm

fuzz: ## Look for inputs that break readers, redaction or clients (MINUTES=1, TARGET=readers)
	@scripts/prerequisites test
	@scripts/setup test
	@.venvs/dev/bin/python -m tests.fuzz.run --minutes $(or $(MINUTES),10) $(TARGET)

e2e: ## Run the scenarios on a cluster: the development cluster, or the one of KUBECONFIG (CORE=1, K=word for some)
	@scripts/prerequisites e2e
	@scripts/setup e2e
	@scripts/e2e $(if $(CORE),--core) $(if $(K),-k "$(K)")

images: ## Build the four images with buildah, into .cache/images (BASE_IMAGE=..., PUSH=<registry>)
	@scripts/prerequisites images
	@scripts/build-images $(if $(PUSH),--push $(PUSH))

lint: ## Check code, chart, scripts and generated files
	@scripts/prerequisites lint
	@scripts/setup lint
	@scripts/lint

generate: ## Write every generated file again
	@scripts/setup lint
	@scripts/generate

lock: ## Write the locked requirements again from what the pyproject.toml files ask for
	@scripts/prerequisites venvs
	@scripts/lock

venvs: ## Build every Python environment, .venvs/<name>; one of them: make venv-train
	@scripts/prerequisites venvs
	@scripts/setup venvs

venv-%:
	@scripts/prerequisites venvs
	@scripts/setup $*

tools: ## Build the command-line tools, .cache/bin/<name>
	@scripts/prerequisites tools
	@scripts/setup tools

bench: ## Measure the demo: times, memory, losses (benchmarks/)
	@scripts/prerequisites demo
	@scripts/setup demo
	@benchmarks/demo

clean: ## Remove what was built and what runs left behind in the checkout
	rm -rf .venvs .cache .pytest_cache .ruff_cache .mypy_cache .hypothesis
