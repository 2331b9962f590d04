"""A sentence for every mistake in the tables that not every machine has: SRAM, chip, transfer, kinds, dtypes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tilework.errors import MachineError
from tilework.machine.load import from_toml, load_machine, to_toml

DLP_M4 = to_toml(load_machine("dlp-m4"))
ARRAY = 'kind = "inner-product"\nneurons = 16\nsynapses = 16'
ENERGIES = '[matrix.energy_per_mac]\nfloat32 = "4.6 pJ"\nfloat16 = "2 pJ"\nbfloat16 = "2 pJ"\nint8 = "300 fJ"\n'
RATES = "[matrix.rates]\nfloat32 = 1\nfloat16 = 2\nbfloat16 = 2\nint8 = 4\n"
DTYPES = "float32, float16, bfloat16, int8"
FEW = "must be a whole number from 1 to 256"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "clusters = 1",
            "clusters = 0",
            "chip.clusters must be a whole number from 1 to 256, not 0; write one such as 4",
        ),
        (
            "cores = 4",
            "cores = 1e99",
            "chip.cores must be a whole number from 1 to 256, not 1e+99; write one such as 4",
        ),
        ("cores = 4", "cores = nan", "chip.cores must be a whole number from 1 to 256, not nan; write one such as 4"),
        (
            "burst_bytes = 1",
            "burst_bytes = 0",
            "dram.burst_bytes must be a whole number from 1 to 65536, not 0; write one such as 16",
        ),
        (
            "[nram]\n",
            "[nram]\nbank = 4\n",
            "the keys in [nram] must be among capacity, energy_per_byte, port_bytes_per_cycle, banks, not 'bank'; "
            "did you mean 'banks'?",
        ),
        ("banks = 0", "banks = -1", "nram.banks must be a whole number from 0 to 65536, not -1; write one such as 32"),
        (
            "[wram]\n",
            "[wram]\nbanks = 4\n",
            "the keys in [wram] must be among capacity, energy_per_byte, port_bytes_per_cycle, not 'banks'; "
            "rename or remove it",
        ),
        (
            "[transfer]\nbytes_per_cycle = 0",
            "[transfer]\nbytes_per_cycle = -1",
            "transfer.bytes_per_cycle must be a whole number from 0 to 1048576, not -1; write one such as 64",
        ),
        (
            '"2 MiB"',
            '"32 GiB"',
            "sram.capacity must be at most dram.capacity, '16 GiB', not '32 GiB'; change one of the two",
        ),
        ('"2 MiB"', '"2 B"', "sram.capacity must be a multiple of 4 B (a float32), not '2 B'; round it"),
        (
            'capacity = "2 MiB"\n',
            "",
            "the key sram.capacity must be there, but is missing; add it, as in capacity = '128 KiB'",
        ),
        (
            '"1 TB/s"',
            '"nan GB/s"',
            "sram.bandwidth must be a bandwidth in bytes per second such as '64 GB/s', not 'nan GB/s'; "
            "write a finite number",
        ),
        ("ports = 5", "ports = 0", "sram.ports must be a whole number from 1 to 65536, not 0; write one such as 16"),
        (
            "[sram]\n",
            "[sram.x]\n",
            "the keys in [sram] must be among capacity, bandwidth, latency_cycles, energy_per_byte, ports, not 'x'; "
            "rename or remove it",
        ),
        (
            'kind = "inner-product"\n',
            "",
            "the key matrix.kind must be there, but is missing; add it, as in kind = 'inner-product'",
        ),
        (
            'kind = "inner-product"',
            "kind = 3",
            "matrix.kind must be one of inner-product, scalar-mac, systolic, convolution-core, not 3; choose one",
        ),
        (
            'kind = "inner-product"',
            'kind = "systolic"',
            "the keys in [matrix] of the kind systolic must be among kind, rows, columns, dataflow, pipeline_cycles, "
            "rates, energy_per_mac, zero_skipping, not 'neurons'; rename or remove it",
        ),
        (
            ARRAY,
            'kind = "systolic"\nrows = 32\ncolumns = 0\ndataflow = "weight-stationary"',
            "matrix.columns must be a whole number from 1 to 65536, not 0; write one such as 16",
        ),
        (
            ARRAY,
            'kind = "systolic"\nrows = 32\ncolumns = 32\ndataflow = "row-stationary"',
            "matrix.dataflow must be one of weight-stationary, output-stationary, input-stationary, "
            "not 'row-stationary'; write one such as 'weight-stationary'",
        ),
        (
            ARRAY,
            'kind = "systolic"\nrows = 32\ndataflow = "weight-stationary"',
            "the key matrix.columns must be there, but is missing; add it, as in columns = 16",
        ),
        (
            ARRAY,
            'kind = "scalar-mac"\nmacs = 1e99',
            "matrix.macs must be a whole number from 1 to 65536, not 1e+99; write one such as 16",
        ),
        (
            ARRAY,
            'kind = "convolution-core"\nmacs = 4\natom = 2\nwinograd = "yes"',
            "matrix.winograd must be true or false, not 'yes'; write it without quotes",
        ),
        (
            ARRAY,
            'kind = "convolution-core"\nmacs = 4\natom = 2',
            "the key matrix.winograd must be there, but is missing; add it, as in winograd = true",
        ),
        (
            "int8 = 4",
            "int8 = 0",
            "matrix.rates.int8 must be a whole number from 1 to 256, not 0; write one such as 2",
        ),
        (
            "int8 = 4",
            "int4 = 8",
            f"the keys in [matrix.rates] must be among {DTYPES}, not 'int4'; did you mean 'int8'?",
        ),
        (RATES, "[matrix.rates]\n", "matrix.rates must have at least one dtype, not {}; add one, as in float32 = 1"),
        (
            RATES,
            "[[matrix.rates]]\n",
            "matrix.rates must be a table of keys, not [{}]; write it as [matrix.rates]",
        ),
        (
            'int8 = "300 fJ"',
            'int8 = "-1 pJ"',
            "matrix.energy_per_mac.int8 must be an energy such as '3.7 pJ', not '-1 pJ'; write 0 or more",
        ),
        (
            'int8 = "300 fJ"\n',
            "",
            f"matrix.energy_per_mac must have the dtypes of matrix.rates, {DTYPES}, not float32, float16, bfloat16; "
            "give one energy for each, or one for all",
        ),
        (
            "int8 = 4\n",
            "",
            f"matrix.energy_per_mac must have the dtypes of matrix.rates, float32, float16, bfloat16, not {DTYPES}; "
            "give one energy for each, or one for all",
        ),
        (
            ENERGIES,
            "[[matrix.energy_per_mac]]\n",
            "matrix.energy_per_mac must be an energy such as '3.7 pJ', not [{}]; "
            "its units are J, mJ, uJ, nJ, pJ, fJ, aJ",
        ),
    ],
)
def test_every_mistake_has_its_sentence(old: str, new: str, sentence: str) -> None:
    assert DLP_M4.count(old) == 1
    with pytest.raises(MachineError) as caught:
        from_toml(DLP_M4.replace(old, new), "mine.toml")
    assert str(caught.value) == f"mine.toml: {sentence}"


def test_one_energy_holds_for_all_dtypes() -> None:
    text = DLP_M4.replace(ENERGIES, "").replace(ARRAY, f'{ARRAY}\nenergy_per_mac = "1 pJ"')
    assert from_toml(text).matrix.energy_per_mac_joules == dict.fromkeys(DTYPES.split(", "), 1e-12)


def test_what_is_left_out_has_its_default() -> None:
    text = DLP_M4.replace(RATES, "").replace(ENERGIES, "").replace(ARRAY, f'{ARRAY}\nenergy_per_mac = "1 pJ"')
    for line in ("clusters = 1", "burst_bytes = 1", "banks = 0", "[transfer]\nbytes_per_cycle = 0", "ports = 5"):
        text = text.replace(f"{line}\n", "")
    machine = from_toml(text.replace("port_bytes_per_cycle = 0\n", ""))
    assert (machine.clusters, machine.cores, machine.transfer_bytes_per_cycle) == (1, 4, 0)
    assert (machine.dram.burst_bytes, machine.nram.port_bytes_per_cycle, machine.nram.banks) == (1, 0, 0)
    assert machine.matrix.rates == {"float32": 1}
    assert machine.sram is not None
    assert machine.sram.ports == 5


def test_cores_may_go_without_sram() -> None:
    text = DLP_M4[: DLP_M4.index("[sram]")] + DLP_M4[DLP_M4.index("[nram]") :]
    machine = from_toml(text)
    assert machine.sram is None
    assert machine.cores == 4


DDR4 = to_toml(load_machine("dlp-s-ddr4")).replace("16 GiB", "256 MiB")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "banks = 16",
            "banks = 0",
            "dram.rows.banks must be a whole number from 1 to 65536, not 0; write one such as 16",
        ),
        (
            "miss_cycles = 28\n",
            "",
            "the key dram.rows.miss_cycles must be there, but is missing; add it, as in miss_cycles = 4",
        ),
        (
            'size = "8 KiB"\n',
            "",
            "the key dram.rows.size must be there, but is missing; add it, as in size = '8 KiB'",
        ),
        (
            '"8 KiB"',
            "8192",
            "dram.rows.size must be a size in bytes such as '8 KiB', not 8192; add the unit",
        ),
        (
            "miss_cycles = 28",
            'miss_cycles = "28 ns"',
            "dram.rows.miss_cycles must be a whole number from 0 to 1000000, not '28 ns'; write one such as 4",
        ),
        (
            "miss_cycles = 28",
            "miss = 28",
            "the keys in [dram.rows] must be among size, banks, miss_cycles, not 'miss'; rename or remove it",
        ),
        (
            '"8 KiB"',
            '"1000 B"',
            "dram.rows.size must be a multiple of dram.burst_bytes, 64, not '1 KB'; change one of the two",
        ),
        (
            "banks = 16\nmiss_cycles",
            "banks = 65536\nmiss_cycles",
            "dram.rows must have a row for each bank in dram.capacity, '256 MiB', not 65536 of '8 KiB'; "
            "take fewer banks or shorter rows",
        ),
        (
            "interval_cycles = 7812",
            "interval_cycles = 350",
            "dram.refresh.duration_cycles must be below interval_cycles, 350, not 350; change one of the two",
        ),
        (
            "interval_cycles = 7812",
            "interval_cycles = 0",
            "dram.refresh.interval_cycles must be a whole number from 1 to 1000000, not 0; write one such as 7800",
        ),
        (
            "interval_cycles = 7812\n",
            "",
            "the key dram.refresh.interval_cycles must be there, but is missing; add it, as in interval_cycles = 7800",
        ),
        (
            "[dram.refresh]\ninterval_cycles = 7812\nduration_cycles = 350\n",
            "[[dram.refresh]]\n",
            "dram.refresh must be a table of keys, not [{}]; write it as [dram.refresh]",
        ),
        (
            "[dram.refresh]\n",
            "[dram.refreshing]\n",
            "the keys in [dram] must be among capacity, bandwidth, latency_cycles, energy_per_byte, burst_bytes, rows, "
            "refresh, not 'refreshing'; did you mean 'refresh'?",
        ),
    ],
)
def test_every_mistake_about_rows_and_refreshes_has_its_sentence(old: str, new: str, sentence: str) -> None:
    assert DDR4.count(old) == 1
    with pytest.raises(MachineError) as caught:
        from_toml(DDR4.replace(old, new), "mine.toml")
    assert str(caught.value) == f"mine.toml: {sentence}"


def test_rows_and_refreshes_may_be_left_out() -> None:
    rows = DDR4[DDR4.index("[dram.rows]") : DDR4.index("[dram.refresh]")]
    refresh = DDR4[DDR4.index("[dram.refresh]") : DDR4.index("[nram]")]
    dram = from_toml(DDR4).dram
    assert from_toml(DDR4.replace(rows, "")).dram == replace(dram, rows=None)
    assert from_toml(DDR4.replace(refresh, "")).dram == replace(dram, refresh=None)
    assert not from_toml(DDR4.replace(refresh, "")).dram.is_ideal
    assert from_toml(DDR4.replace(refresh, "").replace(rows, "")).dram.is_ideal
