# Set-up on a machine without ROS: everything lands in .venv, nothing is installed outside of it.
# (With a sourced ROS 2 distribution use colcon build instead.)

PYTHON ?= python3
OUT ?= out
VENV := .venv
BIN := $(VENV)/bin
# Modules are compiled when they are first imported: most never are.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile -c constraints.txt

# What the installed package is made from: a change in any of it installs again, else nothing does.
SOURCES := $(wildcard CMakeLists.txt package.xml setup.py pyproject.toml constraints.txt README.md) \
  $(shell find headpose_ros msg srv launch config scripts cmake compat resource -type f \
    -not -path '*/__pycache__/*')

.DELETE_ON_ERROR:
.PHONY: help demo demo-driver docs test faults soak train-smoke bench bench-check lint types
.PHONY: layers clean

help:  ## show this list
	@echo 'Targets of headpose_ros (PYTHON=python3.12 make ... chooses the interpreter):'
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/$(if $(GPU),.installed-with-torch,.installed)  ## head poses of a real face, results in out/ (SOURCE=video, image or device; GPU=1)
	$(BIN)/headpose demo --overwrite --out "$(OUT)" $(if $(GPU),--device cuda) $(if $(SOURCE),--source "$(SOURCE)")

demo-driver: $(VENV)/.rendered-with  ## a rendered drive through the nodes, with truth beside it; in out/driver
	$(BIN)/headpose-train demo-driver --overwrite --out "$(OUT)/driver" $(if $(WEIGHTS),--weights "$(WEIGHTS)")

# Modules share nodes and networks between their tests: workers take neighbours and steal the rest.
test: $(VENV)/.tested-with  ## run every test, those of the training workspace too (PYTEST_ARGS='-n 0 -k crop')
	$(BIN)/python -m pytest -n 2 --dist worksteal test training/tests $(PYTEST_ARGS)

faults: $(VENV)/.tested-with  ## a thousand seeded faults against the nodes (COUNT=number)
	$(BIN)/python benchmarks/faults.py --count $(or $(COUNT),1000)

soak: $(VENV)/.tested-with  ## ten minutes at 30 Hz with one to eight faces (MINUTES=number)
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),10)

train-smoke: $(VENV)/.tested-with  ## train every system for a few steps on drawn faces, results in out/smoke
	cd training && ../$(BIN)/headpose-train smoke --overwrite --out "$(abspath $(OUT))/smoke"

bench: $(VENV)/.benched-with  ## time everything beside its peers, results in docs/performance.md (BENCH_ARGS=--quick)
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

bench-check: $(VENV)/.benched-with  ## compare the ratios to peers with benchmarks/ratios.json
	$(BIN)/python benchmarks/run.py --check --rounds 15

lint: $(VENV)/.tested-with  ## style: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tested-with  ## static types: mypy
	$(BIN)/mypy

layers: $(VENV)/.created  ## draw the layers and the way of a frame anew in CONTRIBUTING.md
	$(BIN)/python test/layers.py

# A peer that cannot be installed is a row that says so.
$(VENV)/.benched-with: $(VENV)/.installed benchmarks/requirements.txt
	$(PIP) 'headpose-ros[demo,tools,torch]'
	-$(PIP) --no-deps -r benchmarks/requirements.txt
	@touch $@

docs: $(VENV)/.documented-with  ## build the documentation as a site in out/site; fails on a broken link
	$(BIN)/python -m sphinx -b html -W --keep-going -q -d "$(OUT)/doctrees" docs "$(OUT)/site"

clean:  ## delete everything that these targets and colcon made here
	rm -rf $(VENV) build install log dist "$(OUT)" .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The checks come first, each with the one line that helps, as a fresh machine lacks some of these.
need = { echo "headpose_ros: $(1)" >&2; exit 2; }
$(VENV)/.created:
	@command -v "$(PYTHON)" >/dev/null || \
	  $(call need,no $(PYTHON) on PATH. On Debian or Ubuntu: apt install python3 python3-venv python3-dev)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  $(call need,Python 3.10 or newer is needed and $(PYTHON) is older. Choose another: make PYTHON=python3.11 ...)
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  $(call need,$(PYTHON) cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv)
	@"$(PYTHON)" -c 'import os, sys, sysconfig as s; \
	  sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || \
	  $(call need,the headers of $(PYTHON) are missing. On Debian or Ubuntu: apt install python3-dev)
	@command -v "$${CXX:-c++}" >/dev/null || \
	  $(call need,no C++ compiler on PATH. On Debian or Ubuntu: apt install g++)
	@command -v cmake >/dev/null || \
	  $(call need,no cmake on PATH. On Debian or Ubuntu: apt install cmake)
	@test -z "$$AMENT_PREFIX_PATH" || \
	  $(call need,a ROS 2 environment is sourced in this shell. Use colcon build or a shell without it)
	"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(SOURCES)
	$(PIP) '.[demo]'
	@touch $@

# Several GB and a few minutes the first time: torch comes with its CUDA libraries.
$(VENV)/.installed-with-torch: $(VENV)/.installed
	@$(BIN)/python -c 'import sys; from headpose_ros.perception.device import has_gpu; \
	  sys.exit(not has_gpu())' || \
	  $(call need,no GPU is in this machine. Run it on the CPU: make demo)
	$(PIP) 'headpose-ros[torch]'
	@touch $@

# What draws faces, beside what the demonstration needs.
$(VENV)/.rendered-with: $(VENV)/.installed training/pyproject.toml
	$(PIP) -e './training[demo]'
	@touch $@

# What makes the site.
$(VENV)/.documented-with: $(VENV)/.installed
	$(PIP) 'headpose-ros[docs]'
	@touch $@

# By name, not by path: the package of the lines above satisfies it, and only the extra's own
# requirements are installed. training is editable, so that its tests see the sources.
$(VENV)/.tested-with: $(VENV)/.installed training/pyproject.toml
	$(PIP) 'headpose-ros[test]'
	$(PIP) -e './training[test]'
	@touch $@
