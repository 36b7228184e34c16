PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

# What each backend must do. XLA optimises nothing there: compiling takes the time.
ANY_BACKEND := tests/test_any_backend.py tests/test_resume.py tests/test_selection.py
ANY_BACKEND += tests/test_fits.py tests/test_copies.py
# Two workers on two cores: a second thread of each would wait for the other's.
ONE := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
ON_JAX := $(ONE) KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0
ON_TORCH := KERAS_BACKEND=torch OMP_NUM_THREADS=1

.PHONY: demo test test-slow lint docs benchmark clean

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q -e ".[examples,onnx,tfmot,dev]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

# In the order that tests/conftest.py gives: the files of few tests are the longest.
test: $(VENV)/.installed lint
	$(ONE) $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder
	$(ON_JAX) $(BIN)/python -m pytest -n 2 --dist worksteal $(ANY_BACKEND)

# From PyPI comes the build for CUDA, of gigabytes.
$(VENV)/.torch: $(VENV)/.installed
	$(BIN)/pip install -q torch --index-url https://download.pytorch.org/whl/cpu
	touch $@

test-slow: $(VENV)/.installed $(VENV)/.torch
	$(ONE) $(BIN)/python -m pytest -n 2 --dist loadscope -m slow
	$(ONE) KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist worksteal -m slow \
		$(ANY_BACKEND)
	$(ON_TORCH) $(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow" \
		$(ANY_BACKEND)

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install -q -e ".[docs]"
	touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

benchmark: $(VENV)/.installed
	$(BIN)/python benchmarks/step_time.py

clean:
	rm -rf $(VENV) demo site build *.egg-info
