"""What the mover of a cluster loads, walked through one load after another."""

from __future__ import annotations

import pytest

from tilework.compiler.layout import Ring
from tilework.compiler.mover import Chunks, Errand, Span
from tilework.isa.instruction import Instruction
from tilework.simulator.structure import analyse, walk

SIZES = [(512, 512), (4096, 4096), (10_000, 10_000), (5000, 1000), (30_000, 9000)]


NOTHING = Errand((), 0, 1024)


@pytest.mark.parametrize(("total", "size"), SIZES)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("late", [False, True])
def test_the_mover_loads_every_byte_once_into_the_half_of_its_chunk(
    total: int, size: int, first: int, late: bool
) -> None:
    """Walked through one by one; the next chunk is loaded after the barrier before this one."""
    chunks = Chunks(Ring(1 << 14, first, 2, late), 1 << 20, total, size, "float32", 4096)
    barriers_passed, moved = walked(([] if late else chunks.load(0, 1)) + chunks.work(NOTHING))
    assert barriers_passed == chunks.number + late
    assert [source for _, source, _ in moved] == list(range(1 << 20, (1 << 20) + total, 4))
    for target, source, passed in moved:
        number, offset = divmod(source - (1 << 20), size)
        assert number + late == passed
        assert target == (first + number) % 2 * (1 << 14) + offset


@pytest.mark.parametrize(("total", "size"), SIZES)
def test_a_chunk_that_is_waited_for_takes_the_place_of_the_one_before(total: int, size: int) -> None:
    """Chunk n is loaded between the barriers 2n and 2n + 1."""
    chunks = Chunks(Ring(1 << 14, 0, 1, True), 1 << 20, total, size, "float32", 4096)
    barriers_passed, moved = walked(chunks.work(NOTHING))
    assert barriers_passed == 2 * chunks.number
    assert [source for _, source, _ in moved] == list(range(1 << 20, (1 << 20) + total, 4))
    for target, source, passed in moved:
        number, offset = divmod(source - (1 << 20), size)
        assert (target, passed) == (offset, 2 * number + 1)


def walked(instructions: list[Instruction]) -> tuple[int, list[tuple[int, int, int]]]:
    """How many barriers there are, and of each element loaded where to, where from and after how many barriers."""
    code = (*instructions, Instruction("end"))
    barriers_passed, moved = 0, []
    for place, counters in walk(code, analyse(code, "mover")):
        if code[place].mnemonic == "barrier":
            barriers_passed += 1
        if code[place].descriptor:
            moved += bytes_of(code[place], counters, barriers_passed)
    return barriers_passed, moved


def bytes_of(load: Instruction, counters: tuple[int, ...], chunk: int) -> list[tuple[int, int, int]]:
    assert load.descriptor is not None
    target, source = load.descriptor.operands
    places = range(0, 4 * load.descriptor.extents[0], 4)
    return [(target.address(counters) + i, source.address(counters) + i, chunk) for i in places]


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize(("total", "size"), SIZES)
def test_an_errand_is_done_evenly_beside_the_chunks(total: int, size: int, slots: int) -> None:
    """Each of its bytes comes once, to its place, and as many beside each chunk, but for what is left over."""
    chunks = Chunks(Ring(1 << 14, 0, slots, slots == 1), 1 << 20, total, size, "float32", 4096)
    spans = (Span(1 << 24, 1 << 16, 20_000, "float32"), Span(1 << 25, 1 << 17, 36, "float32"))
    errand = Errand(spans, chunks.turns, 1024)
    _, moved = walked([*chunks.work(errand), *errand.rest()])
    ours = [each for each in moved if each[1] >= 1 << 24]
    assert sorted(source for _, source, _ in ours) == [
        at for s in spans for at in range(s.source, s.source + s.size, 4)
    ]
    assert all(target - source in {s.target - s.source for s in spans} for target, source, _ in ours)
    after = [sum(passed == number for _, _, passed in ours) for number in {passed for *_, passed in ours}]
    assert len(after) == (chunks.number if slots == 2 or chunks.number > 1 else 1)
    shares = 1 + (slots == 1)  # what is left over comes beside the last chunk
    assert max(after) <= shares * min(after) + (36 + 64 * (chunks.turns + 1)) / 4
