from __future__ import annotations

import logging
import os
import platform
import random
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from headstart.runtime import device
from headstart.runtime.device import bf16_is_fast, make_fabric, precision_of, seed_all, settings_kept

CPU = torch.device("cpu")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    return tmp_path


def settings():
    """All that `settings_kept` promises, by name."""
    cudnn = torch.backends.cudnn
    return {
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.get_deterministic_debug_mode(),
        "filling": torch.utils.deterministic.fill_uninitialized_memory,
        "cuDNN": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        "Python's generator": random.getstate(),
        "NumPy's generator": np.random.get_state()[1].tolist(),  # noqa: NPY002 - what is meant is the global one
        "torch's generator": torch.get_rng_state().tolist(),
        "environment": {name: os.environ.get(name) for name in device.VARIABLES},
        "logging": logging.getLogger("lightning_fabric").level,
        "warnings": list(warnings.filters),
    }


def change_all():
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = False, True, True
    seed_all(random.randrange(2**32))
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    logging.getLogger("lightning_fabric").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="a warning of nobody's")


@pytest.mark.parametrize("had", [None, "7"], ids=["variables not set", "variables set"])
def test_settings_are_afterwards_as_they_were_before(had, monkeypatch):
    for name in device.VARIABLES:
        if had is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, had)
    before = settings()
    with settings_kept():
        change_all()
        changed = settings()
    assert [name for name in before if changed[name] == before[name]] == []
    assert settings() == before


def test_settings_are_put_back_after_an_exception_too():
    before = settings()
    with pytest.raises(KeyboardInterrupt), settings_kept():
        change_all()
        raise KeyboardInterrupt
    assert settings() == before


def test_settings_that_nobody_changes_cost_no_import_of_a_compiler(monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: pytest.fail("a second is lost here"))
    with settings_kept():
        pass


def test_making_a_fabric_and_seeding_leave_nothing_behind(cache, monkeypatch):
    for name in device.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = settings()
    with settings_kept():
        make_fabric("cpu")
        seed_all(3)
        assert os.environ["PL_GLOBAL_SEED"] == "3"
    assert settings() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_generator_of_a_gpu_goes_on_where_it_was():
    torch.cuda.manual_seed_all(5)
    before = torch.cuda.get_rng_state_all()
    with settings_kept():
        seed_all(3)
        torch.rand(3, device="cuda")
    assert all(torch.equal(a, b) for a, b in zip(before, torch.cuda.get_rng_state_all(), strict=True))


@pytest.mark.parametrize("fastest", ["32-true", "bf16-mixed"])
def test_the_precision_is_the_one_that_was_measured_to_be_fastest_once(fastest, cache, monkeypatch):
    measured = []
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(device, "_fastest_precision", lambda kind: measured.append(kind) or {"choice": fastest})
    with settings_kept():
        assert precision_of(make_fabric("cpu")) == fastest
    assert bf16_is_fast(CPU) == (fastest == "bf16-mixed")
    assert measured == ["cpu"]


def test_a_cpu_without_bf16_is_not_measured(cache, monkeypatch):
    monkeypatch.setattr(device, "_cpu_has_bf16", lambda: False)
    monkeypatch.setattr(device, "_fastest_precision", lambda kind: pytest.fail("this takes minutes"))
    assert not bf16_is_fast(CPU)


def test_where_instructions_are_hidden_there_is_no_bf16_and_probes_are_others():
    code = (
        "import torch\nfrom headstart.runtime.device import _cpu_has_bf16, hardware\n"
        "print(_cpu_has_bf16(), hardware(torch.device('cpu')))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in device.HIDING}
    plain, hidden = (
        subprocess.run(
            [sys.executable, "-c", code], env=environment | more, capture_output=True, text=True, check=True
        ).stdout.split(" ", 1)
        for more in ({}, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    )
    assert hidden[0] == "False" or platform.machine() not in ("x86_64", "AMD64")
    assert plain[1] == hidden[1].replace(" ONEDNN_MAX_CPU_ISA=AVX2", "") != hidden[1]


def test_two_processes_that_measure_at_once_take_one_choice(tmp_path):
    code = (
        "import os, time, torch\nfrom headstart.runtime.device import stored_probe\n"
        "def measure():\n    time.sleep(1)\n    return {'choice': os.getpid()}\n"
        "print(stored_probe('both', torch.device('cpu'), measure)['choice'])"
    )
    environment = os.environ | {"HEADSTART_CACHE": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate()[0] for process in both)
    assert first == second != ""


def test_what_was_chosen_once_is_chosen_again_though_the_cache_forgot_it(cache, monkeypatch):
    cpu = torch.device("cpu")
    assert device.stored_probe("once", cpu, lambda: {"choice": "a"}) == {"choice": "a"}
    kept = device.chosen_probes()
    shutil.rmtree(cache)
    with device.choosing_as(kept):
        assert device.stored_probe("once", cpu, lambda: {"choice": "b"}) == {"choice": "a"}
    assert device.stored_probe("once", cpu, lambda: {"choice": "b"}) == {"choice": "b"}
