"""What a training ran on, as the driver and the kernel name it."""

from pathlib import Path

import pytest

from osft_train.hardware import hardware


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    for slot, model in (("0000:01:00.0", "NVIDIA H100 80GB HBM3"), ("0000:02:00.0", "NVIDIA H100 80GB HBM3")):
        folder = tmp_path / "gpus" / slot
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 55\n")
    return tmp_path / "gpus"


def test_gpus_are_counted_by_name(driver: Path) -> None:
    assert hardware(2, driver=driver) == "2 x NVIDIA H100 80GB HBM3"


def test_gpus_without_names_are_counted(tmp_path: Path) -> None:
    assert hardware(2, driver=tmp_path) == "2 GPUs"


def test_processors_are_named(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9554\n")
    assert hardware(0, processors=file).endswith(" (AMD EPYC 9554)")
    assert "(" not in hardware(0, processors=tmp_path / "missing")
