# The two commands that matter: `make conformance` (brings up a mesh and judges it) and `make test`.
# Every target installs what it needs and says so. MESH_NO_APT=1 installs no Debian package.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REPORT ?= .mesh/report.yaml
WORKERS ?= 2
FUZZ_SECONDS ?= 60
export PYTHONDONTWRITEBYTECODE :=
# Istio's bootstrap template lies in Go's module cache where Istio's programs were built from its module.
ISTIO_MODULE = $(shell go version -m $(MESH_ISTIO_BIN)/pilot-agent 2>/dev/null | awk '$$1 == "mod" {print $$2 "@" $$3}')
MESH_ISTIO_BOOTSTRAP ?= $(shell go env GOMODCACHE 2>/dev/null)/$(ISTIO_MODULE)/tools/packaging/common/envoy_bootstrap.json

# Install the Debian packages that a shell's list names, or say which are missing.
define apt
[ -z "$(1)" ] && exit 0; \
if [ -n "$$MESH_NO_APT" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
  echo "make: missing Debian packages:$(1); install them, or run as root without MESH_NO_APT" >&2; exit 10; fi; \
echo "make: installing Debian packages:$(1) (MESH_NO_APT=1 forbids it)"; \
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null
endef

.DEFAULT_GOAL := help
.PHONY: help conformance nightly repeat null sampling calibration test kind istio istio-local istio-kind istiod-local isolation rootless differential confirm browser own-mesh pages pages-fresh shown-runs screenshots docs openssl-agreement explain-agreement istioctl-agreement commands-live kubectl-agreement kubectl-goldens kubernetes-goldens kopf fuzz mutants failures injection lint types layers controllers-live workloads-live traffic-live identity-live validation-live acknowledged failover bench debian coverage clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/' | column -t -s '|'

conformance: debian $(STAMP) ## Bring up the embedded cluster and the reference mesh, and judge it
	@mkdir -p $(dir $(REPORT))
	$(BIN)/pytest --mesh-cluster=local --mesh-implementation=reference --mesh-report=$(REPORT) $(ARGS)
	$(BIN)/pytest examples --mesh-cluster=local --mesh-implementation=reference $(ARGS)

NIGHTLY_SEED ?= $(shell date +%Y%m%d)
NIGHTLY_PART ?= $(shell date +%u)/7
nightly: debian $(STAMP) ## The nightly tier: extended checks, 1,000 cells, 2 points, a seed of the day; then the null mesh, and a seventh of the mutants against every check
	@mkdir -p $(dir $(REPORT))
	MESH_EXTENDED=1 $(BIN)/pytest --mesh-cluster=local --mesh-implementation=reference --mesh-report=$(REPORT) \
	  --hypothesis-profile=nightly --mesh-split-delta=2 --mesh-seed=$(NIGHTLY_SEED) $(ARGS)
	$(MAKE) null
	$(BIN)/python tests/mutants/matrix.py --full --part $(NIGHTLY_PART)

RUNS ?= 20
repeat: debian $(STAMP) ## The PR tier so many times in a row (RUNS=20); ends at the first run that does not pass
	@mkdir -p .mesh; for run in $$(seq 1 $(RUNS)); do started=$$(date +%s); \
	  $(BIN)/pytest --mesh-cluster=local --mesh-implementation=reference -q -p no:cacheprovider $(ARGS) >.mesh/repeat.log 2>&1 || { cat .mesh/repeat.log; echo "run $$run of $(RUNS) did not pass"; exit 1; }; \
	  echo "run $$run of $(RUNS): $$(grep -E '^[0-9]+ checks:' .mesh/repeat.log), $$(( $$(date +%s) - started )) s"; done; rm -f .mesh/repeat.log

null: debian $(STAMP) ## The suite against no mesh at all: every check must fail
	$(BIN)/pytest tests/suite --override-ini=python_files='live_null_mesh.py' -s $(ARGS)

sampling: debian $(STAMP) ## Sampling verdicts in a row on the embedded cluster (SAMPLES=200), and how long each takes
	$(BIN)/pytest tests/suite --override-ini=python_files='live_sampling.py' --mesh-cluster=local --mesh-implementation=reference -s $(ARGS)

calibration: $(STAMP) ## The errors and sizes of the sequential test: exactly for two shares, else by simulation and importance sampling (REPETITIONS=2000)
	$(BIN)/pytest tests/traffic --override-ini=python_files='calibration_*.py' -s $(ARGS)

test: debian $(STAMP) ## Run the project's own quick tests
	$(BIN)/pytest tests -n $(WORKERS) --dist loadfile $(ARGS)

openssl-agreement: debian $(STAMP) ## Hold the path validation against `openssl verify` on 10,000 generated chains (docs/identity.md)
	$(BIN)/pytest tests/identity --override-ini=python_files='agreement_*.py' $(ARGS)

fuzz: $(STAMP) ## Fuzz the parsers of CSRs, SPIFFE IDs, certificates and bundles with atheris (FUZZ_SECONDS for each)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { echo "make: installing atheris into $(VENV)"; \
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements-fuzz.txt || \
	{ echo "make: no atheris for this Python: it has wheels for CPython 3.11 to 3.13 on x86_64" >&2; exit 10; }; }
	$(BIN)/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(ARGS)

mutants: debian $(STAMP) ## Hold the suite against broken meshes: every check must find its mutant
	$(BIN)/python tests/mutants/matrix.py $(ARGS)

failures: debian $(STAMP) ## Break the mesh once for each profile, and hold docs/failures.md against what is printed
	$(BIN)/python tests/mutants/failures.py --check $(ARGS)

kind: $(STAMP) ## Judge the reference on kind (needs Docker and kind; MESH_KIND_IMAGE, MESH_IMAGE_BASE), and test that backend
	$(BIN)/pytest --mesh-cluster=kind $(ARGS)
	$(BIN)/pytest tests/kind --override-ini=python_files='docker_*.py'

istio: istio-local istio-kind ## Judge Istio itself on the embedded cluster and on kind (MESH_ISTIO_BIN, MESH_ISTIO_BOOTSTRAP)

istio-local istio-kind istiod-local: export MESH_ISTIO_BOOTSTRAP := $(MESH_ISTIO_BOOTSTRAP)
istio-local: debian $(STAMP)
	$(BIN)/pytest --mesh-cluster=local --mesh-implementation=istio $(ARGS)

istiod-local: debian $(STAMP) ## Two of Istio's own istiods on the embedded cluster: a killed leader, a watch cache that begins anew (MESH_ISTIO_BIN)
	$(BIN)/pytest tests/local --override-ini=python_files='live_real_istiod.py' --mesh-cluster=local --mesh-implementation=istio -s $(ARGS)

isolation: debian $(STAMP) ## Restore the embedded cluster's state between test files, and give two workers a cluster each
	$(BIN)/pytest tests/local --override-ini=python_files='live_isolation.py' -s $(ARGS)

rootless: $(STAMP) ## The embedded cluster's own tests in a user namespace: run it as an ordinary user, not as root
	@[ "$$(id -u)" != 0 ] || { echo "make rootless: this is root: run it as an ordinary user" >&2; exit 10; }
	$(BIN)/pytest tests/local/cluster $(ARGS)

istio-kind: $(STAMP)
	$(BIN)/pytest --mesh-cluster=kind --mesh-implementation=istio $(ARGS)

browser: $(STAMP) ## Look at the report's page in Debian's Chromium: axe-core, keyboard, phone, light and dark
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	$(call apt,$$missing)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r tests/browser/requirements.txt
	$(BIN)/pytest tests/browser --override-ini=python_files='browser_*.py' $(ARGS)

CELLS ?= 2000
differential: export MESH_ISTIO_BOOTSTRAP := $(MESH_ISTIO_BOOTSTRAP)
differential: debian $(STAMP) ## Send the same generated requests to the reference and to Istio, side by side (MESH_ISTIO_BIN, MESH_ISTIO_BOOTSTRAP; CELLS=2000)
	$(BIN)/pytest conformance/mesh_conformance/differential --mesh-cluster=local --mesh-implementation=reference \
	  --mesh-differential=istio --mesh-differential-cells=$(CELLS) --mesh-known-differences=tests/e2e/known_differences.yaml $(ARGS)

confirm: debian $(STAMP) ## make differential and, when it passed, the record by which reports call the oracle confirmed (MESH_ISTIO_BIN, MESH_ISTIO_BOOTSTRAP)
	$(BIN)/python tests/oracle/confirm.py --cells $(CELLS) -- $(ARGS)

own-mesh: debian $(STAMP) ## Do what "Judge your own mesh" says on the embedded cluster, and compare what is printed with the page
	$(BIN)/pytest tests/implementations --override-ini=python_files='live_*.py' $(ARGS)

pages: debian $(STAMP) ## Walk the pages' commands as a newcomer does (docs/start.md, from a built wheel; docs/judge-your-own-mesh.md), and the live line under xdist
	$(BIN)/pytest tests/pages tests/plugin --override-ini=python_files='live_*.py' $(ARGS)

pages-fresh: $(STAMP) ## Make anew what docs/ has from the code: options, members, features, pictures
	$(BIN)/pytest -q tests/pages/test_pages_are_fresh.py --update-goldens

shown-runs: debian $(STAMP) ## Record the two runs of docs/pictures anew: the suite on the reference, the broken file of docs/start.md; then make screenshots
	$(BIN)/python tests/pages/record_shown_runs.py $(ARGS)

screenshots: $(STAMP) ## Make the screenshots of docs/pictures anew from the recorded runs (Chromium)
	@MESH_SCREENSHOTS=1 $(MAKE) -s browser ARGS='-k screenshots'

docs: $(STAMP) ## Build the site of docs/ (Sphinx; warnings are errors) into .mesh/site
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r docs/requirements.txt
	$(BIN)/sphinx-build -q -W --keep-going -b html docs .mesh/site

injection: debian $(STAMP) ## Run injected pods, and compare injection and iptables with Istio's own (MESH_ISTIO_BIN)
	$(BIN)/pytest tests/reference/injection --override-ini=python_files='live_*.py' --mesh-cluster=local --mesh-implementation=reference
	MESH_LAW_EXAMPLES=400 $(BIN)/pytest tests/reference/injection/test_injection_laws.py
	$(BIN)/pytest tests/reference/injection --override-ini=python_files='judge_*.py' $(ARGS)

lint: $(STAMP) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

layers: $(STAMP) ## import-linter: the laws of the design
	$(BIN)/lint-imports

explain-agreement: debian $(STAMP) ## 2,000 generated requests of each of three seeds: refmesh explain beside real Envoys (docs/commands.md)
	$(BIN)/pytest tests/reference/commands --override-ini=python_files='live_agreement.py' -s $(ARGS)

kubectl-agreement: debian $(STAMP) ## Run tests/local/kubectl's commands on the embedded cluster, and compare with what kubectl said on kind (MESH_KUBECTL, PATH; docs/kubectl.md)
	$(BIN)/pytest tests/local/kubectl --override-ini=python_files='live_*.py' $(ARGS)

kubectl-goldens: $(STAMP) ## Record what kubectl says on kind anew (Docker, kind; MESH_KUBECTL, MESH_KIND_IMAGE, MESH_IMAGE_BASE)
	$(BIN)/pytest tests/local/kubectl --override-ini=python_files='record_*.py' $(ARGS)

kopf: debian $(STAMP) ## Run a kopf operator on the embedded cluster as it is
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r tests/local/kopf/requirements.txt
	$(BIN)/pytest tests/local/kopf --override-ini=python_files='live_*.py' $(ARGS)

commands-live: debian $(STAMP) ## The commands against a running mesh; istioctl's own proxy-status where MESH_ISTIO_BIN or PATH has it
	$(BIN)/pytest tests/reference/commands --override-ini=python_files='live_commands.py' --mesh-cluster=local --mesh-implementation=reference $(ARGS)

istioctl-agreement: debian $(STAMP) ## Tables and findings of refmesh beside a real istioctl (MESH_ISTIO_BIN or PATH; skipped without it)
	$(BIN)/pytest tests/reference/commands --override-ini=python_files='live_istioctl.py' $(ARGS)

controllers-live: $(STAMP) ## The controllers as clients of the embedded API server and of a real one (MESH_KUBE_APISERVER, MESH_ETCD)
	$(BIN)/pytest tests/local/controllers --override-ini=python_files='live_*.py' $(ARGS)

workloads-live: debian $(STAMP) ## StatefulSets, DaemonSets, Jobs and CronJobs with real pods on the embedded cluster (kubectl on PATH)
	$(BIN)/pytest tests/local/cluster --override-ini=python_files='live_*.py' $(ARGS)

traffic-live: debian $(STAMP) ## A workload that dies in mid-batch, on the embedded cluster: infrastructure with its last words
	$(BIN)/pytest tests/traffic --override-ini=python_files='live_*.py' --mesh-cluster=local --mesh-implementation=reference $(ARGS)

identity-live: debian $(STAMP) ## Workloads with keys on P-384 and of RSA through real proxies, renewals included
	$(BIN)/pytest tests/reference/identity --override-ini=python_files='live_*.py' --mesh-cluster=local --mesh-implementation=reference $(ARGS)

validation-live: debian $(STAMP) ## Bad documents against the running mesh; istioctl and kube-apiserver where MESH_ISTIO_BIN, MESH_KUBE_APISERVER, MESH_ETCD name them
	$(BIN)/pytest tests/reference/validation --override-ini=python_files='live_*.py' --mesh-cluster=local --mesh-implementation=reference -s $(ARGS)

failover: debian $(STAMP) ## Kill one of two istiods after the other under traffic, on the embedded cluster
	$(BIN)/pytest tests/reference/xds --override-ini=python_files='live_two_istiods.py' --mesh-cluster=local --mesh-implementation=reference -s $(ARGS)

acknowledged: debian $(STAMP) ## Hold a real Envoy against 10,000 generated resources that Galley accepts (ACK_CASES)
	ACK_CASES=$(or $(ACK_CASES),10000) $(BIN)/pytest tests/reference/xds/test_envoy_accepts_what_is_generated.py --timeout=3600 $(ARGS)

kubernetes-goldens: debian $(STAMP) ## Record a real kube-apiserver's answers anew for tests/local/differential (MESH_KUBE_APISERVER, MESH_ETCD)
	$(BIN)/pytest tests/local/differential --override-ini=python_files='record_*.py' $(ARGS)
	$(BIN)/pytest tests/local/differential --update-goldens

bench: debian $(STAMP) ## Benchmarks (figures: docs/performance.md); with MESH_ISTIO_BIN the real istiod beside the reference
	$(BIN)/pytest tests/bench --override-ini=python_files='bench_*.py' -s $(ARGS)

coverage: debian $(STAMP) ## Branch coverage of the quick tests
	$(BIN)/coverage run -m pytest tests $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

debian:
	@missing=""; \
	command -v iptables-restore >/dev/null || [ -x /usr/sbin/iptables-restore ] || missing="$$missing iptables"; \
	command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing="$$missing iproute2"; \
	command -v unshare >/dev/null || missing="$$missing util-linux"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	[ -x $(BIN)/pip ] || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(call apt,$$missing)

$(STAMP): requirements.txt pyproject.toml | debian
	@echo "make: installing the pinned Python packages into $(VENV)"
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mesh .pytest_cache .mypy_cache .ruff_cache
