# SPDX-License-Identifier: Apache-2.0
# The two commands: `make demo` and `make test`. `make help` lists the others.
# `make PYTHON=python3.12 demo` chooses the interpreter; `make clean` first to change it.
# `make ROS_DISTRO=jazzy demo` takes another ROS 2 than Kilted, with an environment of its own.

PYTHON ?= python3
ROS_DISTRO ?= kilted
VENV := .venv$(patsubst %,-%,$(filter-out kilted,$(ROS_DISTRO)))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# All that is installed is listed with its hashes (make lock), so nothing has to be resolved.
INSTALL := $(PIP) install --quiet --no-deps --require-hashes
STAMPS := $(VENV)/stamps
# Folders too: their time changes when a file goes.
PACKAGE := $(shell find caer_ros config examples launch models msg scripts \
             -not -path '*/__pycache__*' 2>/dev/null) CMakeLists.txt package.xml setup.py
SOURCES := .ci .github benchmarks caer_ros config examples launch msg scripts test

NO_PACKAGES = { echo "caer: pip could not install the packages above. They come from PyPI: is there a \
network? Behind a proxy or a mirror, set it up in pip's configuration, then run make again." >&2; \
exit 1; }

# Scripts, CMake and the tools that tests start find the environment's own programs.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONNOUSERSITE := 1
export ROS_DISTRO
# Where another ROS is sourced, its packages stay out of the environment.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-ros test-slow test-gpu lint benchmark-peers parameters weights lock audit clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read name text; do \
	  printf '  make %-15s %s\n' "$$name" "$$text"; done

setup: $(STAMPS)/package ## .venv with ROS 2 and this package in it

demo: setup ## a video through the real node; results in demo_out/
	@$(BIN)/caer demo

test: setup $(STAMPS)/dev lint ## lint and the test suite
	@$(BIN)/pytest

test-ros: setup $(STAMPS)/test ## the tests of the node and its graph; no PyTorch
	@$(BIN)/pytest test/ros test/integration test/test_images.py

test-slow: setup $(STAMPS)/dev ## the tests that take minutes
	@$(BIN)/pytest -m "slow and not gpu"

test-gpu: setup $(STAMPS)/dev ## the tests that need an NVIDIA GPU
	@$(BIN)/pytest -m gpu

lint: $(STAMPS)/dev ## ruff, mypy, arrows between the rooms, licence lines
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@unlicensed=$$(grep -rL "SPDX-License-Identifier: Apache-2.0" $(SOURCES) \
	  --include='*.py' --include='*.msg' --include='*.yaml' --include='*.yml' --include='*.xml' \
	  --include='*.sh' --include='*.mjs' --include='caer*' --include=run --exclude-dir=__pycache__); \
	[ -z "$$unlicensed" ] || { echo "without an SPDX licence line:" $$unlicensed >&2; exit 1; }

benchmark-peers: setup ## our pipeline beside fer, MediaPipe and face-api (installs 3 GB once)
	@$(BIN)/python benchmarks/peers.py

parameters: setup ## docs/parameters.md anew from the settings in the code
	@$(BIN)/python -m caer_ros.node_settings > docs/parameters.md.new
	@mv docs/parameters.md.new docs/parameters.md

ifeq ($(MAKECMDGOALS)$(and $(FERPLUS),$(SCENES),$(FILMS)),weights)
$(error where are the data? make weights FERPLUS=/data/ferplus SCENES=/data/scenes.csv \
FILMS=/data/films)
endif
FERPLUS_DATA = --data "ferplus:$(FERPLUS)"
SCENE_DATA = --data "scenes:$(SCENES)"
RUN = $(BIN)/caer train config/train/$(1).yaml --output runs/$(1)
FROM = --init runs/$(1)/weights.safetensors

weights: setup $(STAMPS)/dev ## the weights anew from FERPLUS=, SCENES=, FILMS= (docs/training.md); takes hours
	$(call RUN,face_1) $(FERPLUS_DATA)
	$(call RUN,face_2) $(FERPLUS_DATA) $(call FROM,face_1)
	$(call RUN,face_3) $(FERPLUS_DATA) $(call FROM,face_2)
	$(call RUN,face_4) $(FERPLUS_DATA) $(call FROM,face_3)
	$(call RUN,face_5) $(FERPLUS_DATA) $(call FROM,face_4)
	$(call RUN,face_6) $(FERPLUS_DATA) $(SCENE_DATA) $(call FROM,face_5)
	$(call RUN,face_7) $(FERPLUS_DATA) $(SCENE_DATA) $(call FROM,face_6) \
	  --teacher runs/face_4/weights.safetensors --teacher runs/face_6/weights.safetensors
	$(call RUN,scene) $(SCENE_DATA) $(call FROM,face_7)
	$(BIN)/caer inflate runs/face_6/weights.safetensors runs/inflated.safetensors
	$(call RUN,clips) --data "clips:ferplus:$(FERPLUS)" --init runs/inflated.safetensors
	cp runs/face_7/weights.safetensors models/caer_net_s.safetensors
	cp runs/scene/weights.safetensors models/caer_net_s_scene.safetensors
	cp runs/clips/weights.safetensors models/caer_net.safetensors
	$(BIN)/caer calibrate models/caer_net_s.safetensors --data "folder:$(FILMS)"
	$(BIN)/caer calibrate models/caer_net_s_scene.safetensors --data "folder:$(FILMS)"
	$(BIN)/caer export models/caer_net_s.safetensors
	$(BIN)/caer export models/caer_net_s_scene.safetensors
	$(BIN)/caer export models/caer_net.safetensors

clean: ## remove the environment and all that was built or written
	rm -rf .venv .venv-* build install log demo_out replay_out benchmark_out

lock: ## requirements/*.txt anew: all that is pulled in, with hashes
	@scripts/lock.sh

audit: ## whether a pinned package has a known hole
	@[ -x build/audit/bin/pip-audit ] || { "$(PYTHON)" -m venv build/audit \
	  && build/audit/bin/python -m pip install --quiet pip-audit==2.10.1; }
	@for name in ros-kilted ros-jazzy base dev models torch gpu; do \
	  build/audit/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off \
	    --requirement requirements/$$name.txt || exit 1; done

$(STAMPS)/venv:
	@scripts/check_machine.sh "$(PYTHON)" "$(ROS_DISTRO)"
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@touch $@

BASE := requirements/ros-$(ROS_DISTRO).txt requirements/base.txt requirements/models.txt

$(STAMPS)/base: $(STAMPS)/venv $(BASE)
	@echo "Installing ROS 2 ($(ROS_DISTRO)), OpenVINO and OpenCV into $(VENV) (a minute the first time)"
	@$(INSTALL) $(BASE:%=-r %) || $(NO_PACKAGES)
	@touch $@

$(STAMPS)/test: requirements/test.txt $(STAMPS)/base
	@$(INSTALL) -r requirements/test.txt || $(NO_PACKAGES)
	@touch $@

# A pip that has the build without CUDA gets that; any other that one finds installed is kept too.
$(STAMPS)/dev: requirements/dev.txt requirements/torch.txt requirements/torch-cpu.txt $(STAMPS)/base
	@echo "Adding the test requirements, PyTorch among them"
	@$(INSTALL) -r requirements/dev.txt || $(NO_PACKAGES)
	@$(INSTALL) -r requirements/torch-cpu.txt 2> /dev/null \
	  || $(INSTALL) -r requirements/torch.txt || $(NO_PACKAGES)
	@touch $@

$(STAMPS)/package: $(PACKAGE) $(STAMPS)/base
	@echo "Building messages and package"
	@$(PIP) install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@
