"""A machine or GPU out of memory: one sentence with advice, and no traceback."""

import numpy as np
import pytest
import torch

from empirical.chain import loop
from empirical.out_of_memory import is_out_of_memory

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def cause_of(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("there was memory enough")


@pytest.mark.parametrize(
    "error",
    [
        GPU,
        cause_of(lambda: torch.empty(2**58)),
        cause_of(lambda: np.empty(2**58)),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 5.90 GB)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_ways_to_say_so_are_known(error):
    assert is_out_of_memory(error)
    later = ValueError("what came of it")
    later.__cause__ = error
    assert is_out_of_memory(later)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), OSError(2, "No such file"), ValueError("out of memory")],
)
def test_other_errors_are_others(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [GPU, cause_of(lambda: torch.empty(2**58))], ids=["gpu", "processor"]
)
@pytest.mark.parametrize("where", ["load", "loop"])
def test_a_chain_names_the_settings_that_help_and_can_be_resumed(
    qtm, tmp_path, monkeypatch, error, where
):
    (tmp_path / "r.toml").write_text("generations = 1\n[data]\nsize = 4\n")

    def full(*_, **__):
        raise error

    monkeypatch.setattr(loop, where, full)
    code, _, stderr = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 2
    assert "Traceback" not in stderr
    for setting in ("batch_size", "micro_batches", "gradient_checkpointing"):
        assert f"'finetune.{setting}'" in stderr
    assert "'generate.batch_size'" in stderr
    assert (tmp_path / "run").exists() == (where == "loop")


@pytest.mark.parametrize(
    ("words", "place", "helps"),
    [
        (["measure", "RUN", "kid"], "empirical.measuring.finished.measure_sets", "fewer images"),
        (["fit", "RUN"], "analysis.comparison.fit.fit", "fewer runs"),
        (["select", "RUN"], "analysis.selection.tables.tables", "fewer runs or traits"),
        (["forecast", "RUN"], "analysis.prediction.forecast.forecast", "fewer runs"),
        (["simulate"], "qtm.commands.model_file.parse", "fewer parameter sets"),
        (["pretrain", "digits"], "empirical.pretraining.training.pretrain", "other programs"),
    ],
)
def test_other_commands_name_what_helps_them(qtm, tiny_run, monkeypatch, words, place, helps):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(place, full)
    code, _, complaint = qtm(*(tiny_run.folder if word == "RUN" else word for word in words))
    assert code == 2
    assert "too little memory" in complaint
    assert helps in complaint
    assert "finetune" not in complaint


def test_a_fit_that_failed_because_of_memory_names_what_helps_it(qtm, tiny_run, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("the fit failed") from MemoryError()

    monkeypatch.setattr("analysis.comparison.fit.fit", full)
    code, _, complaint = qtm("fit", tiny_run.folder)
    assert code == 2
    assert "too little memory" in complaint
    assert "fewer runs" in complaint
