.DEFAULT_GOAL := help
.PHONY: help venvs tools

help: ## This list
	@sed -n 's/^\([a-z%-]*\):.* ## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

venvs: ## Build every Python environment (.venvs/), or one: make venv-train
	@scripts/setup venvs

venv-%:
	@scripts/setup $*

tools: ## Build the command-line tools (.cache/bin/)
	@scripts/setup tools

lock: ## Write the locked requirements again from the pyproject.toml files
	@scripts/lock
