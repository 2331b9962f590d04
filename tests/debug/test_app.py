"""The screen: keys move the session, every pane shows something, and no key and no size breaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tilework.debug.session import Session
from tilework.isa.program import Program
from tilework.isa.tile_language import parse_tiles
from tilework.machine.load import load_machine

pytest.importorskip("textual")

from textual.pilot import Pilot
from textual.widgets import Input, Static

from tilework.debug.app import PANES, Debugger, Help

Build = Callable[..., Session]
Example = Callable[[str, str], Program]
Use = Callable[["Pilot[None]"], Awaitable[None]]

LOOP = "scopy r1 = #5\nagain:\nvmax <16> nram 0x40+r1 {4} = nram 0x0 {4}, #2\nssub r1 = r1, #1\njumpif r1, again\nend"
ALIGNED = LOOP.replace("+r1", "")


def use(session: Session, size: tuple[int, int], does: Use) -> Debugger:
    """The screen of that size, after it has been used."""

    async def run() -> Debugger:
        app = Debugger(session)
        async with app.run_test(size=size) as pilot:
            await does(pilot)
            await pilot.pause()
        return app

    return asyncio.run(run())


def shown(pilot: Pilot[None], pane: str) -> str:
    return str(pilot.app.screen_stack[0].query_one(f"#{pane}-text", Static).render())


def test_keys_move_the_session(debugged: Build) -> None:
    session = debugged(ALIGNED)
    seen = []

    async def does(pilot: Pilot[None]) -> None:
        for key in ("s", "right", "b", "right_square_bracket", "left_square_bracket", "e", "0"):
            await pilot.press(key)
            seen.append(session.now)
        await pilot.press("down", "down", "o", "r")
        seen.append(session.now)
        await pilot.press("colon", *"run to r1 == 3", "enter")
        await pilot.pause()
        assert session.look().register(1) == 3
        assert "r1 = 3" in shown(pilot, "registers")

    use(session, (120, 40), does)
    assert seen[:5] == [1, 2, 1, 2, 1]
    assert seen[5:] == [session.recording.end, 0, 2]  # the cursor goes from 0 to 2, which control comes to in cycle 2


def test_every_pane_says_something(example: Example) -> None:
    session = Session.of_program(example("pipeline.s", "dlp-s"), {})
    session.run_to_cycle(120)

    async def does(pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert "contract <16, 16, 32>" in shown(pilot, "code")
        assert "waits for the DRAM channel" in shown(pilot, "units").replace("\n           ", " ")
        # contract of round 1 is at work; the queue of 16 has its two posts, rounds 2 and 3 and four of round 4.
        assert "i0 = 4 of 8" in shown(pilot, "registers")
        assert "nram 0x1000, 16x16 float32" in shown(pilot, "memory")
        assert "one column is" in shown(pilot, "timeline")
        assert "post matrix 2" in shown(pilot, "explain")

    use(session, (120, 40), does)


@pytest.mark.parametrize("size", [(40, 20), (12, 5)])
def test_a_window_of_any_size_shows_the_pane_that_is_asked_for(example: Example, size: tuple[int, int]) -> None:
    session = Session.of_program(example("cluster.s", "dlp-m4"), {})

    async def does(pilot: Pilot[None]) -> None:
        for number, pane in enumerate(PANES, 1):
            await pilot.press(str(number))
            await pilot.pause()
            assert pilot.app.screen.query_one(f"#{pane}").display
        await pilot.press("question_mark")
        assert isinstance(pilot.app.screen, Help)
        await pilot.press("x", "tab")
        await pilot.resize_terminal(120, 40)

    use(session, size, does)
    assert session.trace.name == "core 0 1"


def test_mistakes_are_told_and_nothing_is_lost(debugged: Build) -> None:
    session = debugged("scopy r1 = #4096\nvmax <16> nram 0x0+r1 {4} = nram 0x0 {4}, #2\nend")

    async def does(pilot: Pilot[None]) -> None:
        await pilot.press("s", "e")
        assert session.now == 1  # the access that is forbidden lies ahead
        await pilot.press("colon", *"run to label x", "enter")
        await pilot.pause()
        found = [str(notice.message) for notice in pilot.app._notifications]
        assert found[0].startswith("line 2 (vmax) must stay inside the 1024 bytes of NRAM")
        assert found[1] == "a label must be one of the program's, and there is none, not 'x'; 'labels' lists them"
        assert not pilot.app.query_one("#command", Input).display

    use(session, (80, 24), does)


KEYS = (
    *"abcdefghijklmnoprstuvwxyz0123456789.,-+#'<>=()",  # all but q
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab", "shift+tab", "enter", "escape"),
    *("space", "backspace", "delete", "f1", "f5", "ctrl+a", "ctrl+p", "colon", "question_mark"),
    *("left_square_bracket", "right_square_bracket", "ctrl+z", "ctrl+l"),
)


@pytest.mark.parametrize("seed", range(1, 3))
def test_any_keys(debugged: Build, seed: int) -> None:
    random = Random(seed)
    session = debugged(ALIGNED)
    if seed == 2:
        text = "loop 3\nmove dram nram 64\nsync\ncompute fp32 256\nendloop\n"
        session = Session.of_tiles("small", parse_tiles(text), load_machine("dlp-s"))

    async def does(pilot: Pilot[None]) -> None:
        await pilot.press(*random.choices(KEYS, k=40))
        assert pilot.app.is_running

    app = use(session, (40, 20), does)
    assert app.return_code in (None, 0)
