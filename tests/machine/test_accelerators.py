"""The accelerators that come with Tilework, and the file of one of your own."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilework.errors import MachineError
from tilework.machine.accelerator import Accelerator, Link, Memory, Reached, accelerator_of, covers, figures
from tilework.machine.accelerator_file import accelerator_from_dict, accelerator_to_dict
from tilework.machine.leaves import PEAK_DTYPES
from tilework.machine.load import accelerator_names, load_accelerator, load_either, load_machine, machine_names, to_toml
from tilework.machine.toml import parse_toml

every = pytest.mark.parametrize("name", accelerator_names())
COARSER = (  # dtypes of which the later ones are never slower
    ("float64", "float32", "tfloat32", "float16"),
    ("float32", "bfloat16", "float8", "float4"),
    ("float16", "int8", "int4"),
    ("int16", "int8"),
)
BY_HAND = {  # main dtype, dense peak, bandwidth, capacity: from the makers' tables
    "v100-sxm2": ("float16", 125e12, 900e9, 32e9),
    "a100-80gb": ("float16", 312e12, 2039e9, 80e9),
    "h100-sxm": ("float16", 989.4e12, 3350e9, 80e9),
    "mi300x": ("float16", 1307.4e12, 5300e9, 192e9),
    "google-tpu-v5e": ("bfloat16", 197e12, 819e9, 16e9),
    "google-tpu-v4": ("bfloat16", 275e12, 1200e9, 32 * 2**30),
    "trainium2": ("bfloat16", 667e12, 2900e9, 96 * 2**30),
    "xeon-8480": ("bfloat16", 56 * 2.0e9 * 512 * 2, 8 * 8 * 4.8e9, None),
    "epyc-7763": ("float32", 64 * 2.45e9 * 2 * 8 * 2, 8 * 8 * 3.2e9, None),
}


def test_there_are_enough_of_many_makers() -> None:
    names = accelerator_names()
    assert len(names) >= 40
    assert len({load_accelerator(name).maker for name in names}) >= 12
    assert not set(names) & set(machine_names())


@every
def test_each_figure_has_one_source(name: str) -> None:
    one = load_accelerator(name)
    assert one.name == name
    assert one.maker
    for figure in figures(one):
        assert sum(covers(listed, figure) for listed in one.sources.values()) == 1, figure


@every
def test_each_figure_is_of_a_credible_size(name: str) -> None:
    one = load_accelerator(name)
    assert 2010 <= (one.year or 0) <= 2026
    assert one.power_watts is None or 0.5 <= one.power_watts <= 2000
    for rate in (*one.peak.values(), *one.sparse_peak.values()):
        assert 1e11 <= rate <= 2e17
    assert 1e9 <= (one.memory.capacity_bytes or 1e9) <= 5e11 or "chip" in one.memory.kind
    assert 1e10 <= (one.memory.bandwidth_bytes_per_second or 1e10) <= 1e13 or "chip" in one.memory.kind
    assert 1e6 <= (one.on_chip.capacity_bytes or 1e6) < (one.memory.capacity_bytes or 5e11)
    assert 1e11 <= (one.link.bandwidth_bytes_per_second or 1e11) <= 4e12
    if one.power_watts and one.peak:
        assert 1e9 <= max(one.peak.values()) / one.power_watts <= 3e13
    for dtype in one.peak:
        assert 0.1 <= (one.intensity(dtype) or 1) <= 1e4


@every
def test_finer_dtypes_are_no_faster_and_sparse_rates_are_higher(name: str) -> None:
    one = load_accelerator(name)
    for order in COARSER:
        rates = [one.peak[dtype] for dtype in order if dtype in one.peak]
        assert all(fine <= coarse for fine, coarse in pairwise(rates)), order
    for dtype, rate in one.sparse_peak.items():
        most = one.peak.get(dtype, one.peak.get("float16", 0))
        assert 1 < rate / most <= 4


@every
def test_rates_of_floats_and_of_integers_are_written_apart(name: str) -> None:
    written = accelerator_to_dict(load_accelerator(name))
    for table in ("peak", "sparse_peak"):
        for dtype, text in written.get(table, {}).items():
            assert text.endswith("FLOP/s") == ("float" in dtype)


@pytest.mark.parametrize("name", BY_HAND)
def test_figures_looked_up_by_hand(name: str) -> None:
    one = load_accelerator(name)
    dtype, rate, bandwidth, capacity = BY_HAND[name]
    assert one.dtype == dtype
    assert one.peak[dtype] == pytest.approx(rate, rel=1e-12)
    assert one.memory.bandwidth_bytes_per_second == pytest.approx(bandwidth, rel=1e-12)
    assert one.memory.capacity_bytes == capacity
    assert one.intensity(dtype) == pytest.approx(rate / bandwidth, rel=1e-12)


def test_a_described_processor_is_an_accelerator_too() -> None:
    one = load_accelerator("dlp-m4")
    assert one == accelerator_of(load_machine("dlp-m4"))
    assert one.peak["float32"] == 4 * 512e9
    assert one.memory == Memory("DRAM", 16 << 30, 128e9)
    assert one.on_chip.capacity_bytes == 4 * (128 + 256 << 10) + (2 << 20)
    assert one.intensity("float32") == 16
    assert one.intensity("float64") is None


def test_an_accelerator_is_not_compiled_for() -> None:
    with pytest.raises(MachineError) as error:
        load_machine("t4")
    assert str(error.value) == (
        "a machine to compile for or to simulate must be described in full, unlike the accelerator t4, of which only "
        "peaks are known; 'tilework machines --kind dlp' lists those that are"
    )


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('kind = "accelerator"\nname = "mine"\n[peak]\nint8 = "4 TMAC/s"\n[memory]\nbandwidth = "1 GiB/s"\n')
    one = load_either(path)
    assert one == Accelerator("mine", peak={"int8": 8e12}, memory=Memory(bandwidth_bytes_per_second=2.0**30))
    assert '"8 TOP/s"' in to_toml(one)


UNITS = ", ".join(f"{p}{u}/s" for u in ("FLOP", "OP", "MAC") for p in ("", *"PTGM"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            {"peak": {"int8": "4 TOPS"}},
            f"peak.int8 must be operations per second such as '312 TFLOP/s', not '4 TOPS'; its units are {UNITS}",
        ),
        (
            {"memory": {"bandwidth": "64 GB"}},
            "memory.bandwidth must be a bandwidth in bytes per second such as "
            "'64 GB/s', not '64 GB'; its units are KiB/s, MiB/s, GiB/s, TiB/s, B/s, TB/s, GB/s, MB/s, kB/s, KB/s",
        ),
        (
            {"memory": {"bandwidth": "0 GB/s"}},
            "memory.bandwidth must be a bandwidth in bytes per second such as "
            "'64 GB/s', not '0 GB/s'; write a number above 0",
        ),
        (
            {"memory": {"bandwidth": "512 Gb/s"}},
            "memory.bandwidth must be a bandwidth in bytes per second such as "
            "'64 GB/s', not '512 Gb/s'; that counts bits, so divide by 8 and write B for bytes",
        ),
        (
            {"memory": {"size": "1 GB"}},
            "the keys in [memory] must be among kind, capacity, bandwidth, not 'size'; rename or remove it",
        ),
        (
            {"peak": {"fp16": "1 TFLOP/s"}},
            f"the keys in [peak] must be among {', '.join(PEAK_DTYPES)}, not 'fp16'; rename or remove it",
        ),
        ({"power": "400"}, "power must be a power such as '400 W', not '400'; add the unit"),
        ({"year": "2020"}, "year must be a whole number from 1970 to 2100, not '2020'; write one such as 2022"),
        (
            {"yeer": 2020},
            "the keys at the top must be among kind, name, description, maker, year, process, power, "
            "unchecked, peak, sparse_peak, memory, on_chip, link, sources, reached, not 'yeer'; did you mean 'year'?",
        ),
        (
            {"sources": {"a book": "peak"}},
            "sources.a book must have figures that the file gives, not 'peak'; add that figure or take it out",
        ),
        (
            {"unchecked": "year, power"},
            "unchecked must have figures that the file gives, not 'year'; add that figure or take it out",
        ),
        (
            {"sources": {"a book": ["peak"]}},
            "sources.a book must be figures by their keys, with a comma and a space "
            "between them, not ['peak']; write one such as 'peak, memory.bandwidth'",
        ),
    ],
)
def test_a_mistake_is_one_sentence(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(MachineError) as error:
        accelerator_from_dict({"kind": "accelerator", "name": "a", **data}, "a.toml")
    assert str(error.value) == f"a.toml: {sentence}"


def test_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('kind = "gpu"\n')
    with pytest.raises(MachineError) as error:
        load_either(path)
    must = "kind must be 'accelerator', or left out for a machine that is described in full, not 'gpu'; correct it"
    assert str(error.value) == f"{path}: {must}"


rates = st.dictionaries(st.sampled_from(PEAK_DTYPES), st.floats(1, 1e20), max_size=4)
memories = st.builds(Memory, st.text(max_size=9), st.none() | st.integers(1, 10**14), st.none() | st.floats(1, 1e17))


@given(
    st.builds(
        Accelerator,
        name=st.just("a"),
        description=st.text(max_size=20),
        maker=st.text(max_size=20),
        year=st.none() | st.integers(1970, 2100),
        process=st.text(max_size=20),
        power_watts=st.none() | st.floats(1e-3, 1e5),
        peak=rates,
        sparse_peak=rates,
        memory=memories,
        on_chip=memories,
        link=st.builds(Link, st.text(max_size=9), st.none() | st.floats(1, 1e17)),
    )
)
def test_what_is_written_is_read_back(one: Accelerator) -> None:
    assert accelerator_from_dict(parse_toml(to_toml(one), "a")) == one


@every
def test_the_catalogue_is_written_as_it_is_read(name: str) -> None:
    one = load_accelerator(name)
    assert accelerator_from_dict(accelerator_to_dict(one)) == one


REACHED = {"runtime": "ONNX Runtime 1", "threads": 1, "overhead": "5 us"}


def test_what_layers_reach_is_read_and_written() -> None:
    one = accelerator_from_dict(
        {
            "kind": "accelerator",
            "name": "a",
            "reached": {**REACHED, "share": {"convolution": 0.75, "copy": 2}, "rate": {"exp": "2 GOP/s"}},
        }
    )
    assert one.reached == Reached("ONNX Runtime 1", 1, 5e-6, {"convolution": 0.75, "copy": 2.0}, {"exp": 2e9})
    assert accelerator_from_dict(parse_toml(to_toml(one), "a")) == one


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "share",
            {"convolution": 0},
            "reached.share.convolution must be a number above 0, at most 1000, not 0; write one such as 0.8",
        ),
        ("overhead", 5, "reached.overhead must be a time such as '5 us', not 5; add the unit"),
        ("threads", 0, "reached.threads must be a whole number from 1 to 65536, not 0; write one such as 16"),
    ],
)
def test_what_layers_reach_is_checked(key: str, value: object, sentence: str) -> None:
    with pytest.raises(MachineError) as error:
        accelerator_from_dict({"kind": "accelerator", "name": "a", "reached": {**REACHED, key: value}}, "a.toml")
    assert str(error.value) == f"a.toml: {sentence}"
