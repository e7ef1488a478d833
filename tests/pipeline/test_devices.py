"""What the machine offers: bfloat16 is never emulated, and a container's memory counts, not its host's."""

from pathlib import Path

import pytest
import torch

from pipeline import devices
from pipeline.devices import choose_precision, free_device_memory, free_host_memory, to_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu avx512_bf16 sse", True), ("amx_bf16", True), ("avx512f sse", False)]
)
def test_a_cpu_computes_in_bf16_only_when_asked_and_only_if_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, has: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(devices, "_CPUINFO", tmp_path / "cpuinfo")
    assert choose_precision("auto", CPU) == choose_precision("fp32", CPU) == torch.float32
    if has:
        assert choose_precision("bf16", CPU) == torch.bfloat16
    else:
        with pytest.raises(ValueError, match=r"train\.precision is 'bf16'.*'auto' or 'fp32'"):
            choose_precision("bf16", CPU)


@pytest.mark.parametrize("has", [True, False])
def test_a_gpu_computes_in_bf16_if_it_can(monkeypatch: pytest.MonkeyPatch, has: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    gpu = torch.device("cuda")
    assert choose_precision("auto", gpu) == (torch.bfloat16 if has else torch.float32)
    assert choose_precision("fp32", gpu) == torch.float32


def test_a_container_has_what_its_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_CGROUP", tmp_path)
    machine = free_host_memory()
    assert machine > 0
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert free_host_memory() == 300_000
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 100000\n")
    assert free_host_memory() == free_device_memory(CPU) == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_host_memory() > 1_000_000


def test_a_tensor_arrives_as_it_is() -> None:
    assert torch.equal(to_device(torch.arange(5), CPU), torch.arange(5))
