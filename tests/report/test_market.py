"""The picture of machines by peak and bandwidth: names that don't touch, in the maker's colour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tilework.errors import OutputError
from tilework.machine.load import accelerator_names, load_accelerator
from tilework.report import labels
from tilework.report.market import draw_market


def test_every_name_is_there_and_none_touches_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[labels.Box] = []
    free = labels._free

    def noted(*arguments: object) -> labels.Box:
        placed.append(free(*arguments))  # type: ignore[arg-type]
        return placed[-1]

    monkeypatch.setattr(labels, "_free", noted)
    found = [load_accelerator(name) for name in accelerator_names()]
    draw_market(found, tmp_path / "all.svg")
    text = (tmp_path / "all.svg").read_text("utf-8")
    shown = [one.name for one in found if one.dtype and one.intensity(one.dtype)]
    assert len(placed) == len(shown) > 60
    assert all(f">{name}<" in text for name in shown)
    assert not any(labels._touch(a, b) for i, a in enumerate(placed) for b in placed[:i])
    assert all(maker in text for maker in {one.maker for one in found if one.name in shown})


def test_one_dtype_leaves_out_those_without_it(tmp_path: Path) -> None:
    draw_market(
        [load_accelerator(name) for name in ("t4", "h100-sxm", "wse-2", "dlp-s")], tmp_path / "a.svg", "float32"
    )
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert ">t4<" in text
    assert "wse-2" not in text
    assert "described in full" in text
    assert "T operations/s, float32" in text


def test_the_same_machines_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_market([load_accelerator("t4"), load_accelerator("a10")], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(OutputError):
        draw_market([load_accelerator("t4")], tmp_path / "a.pdf")
