"""The debugger's screen: panes that show a session, and keys that move it. All it knows comes from the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from textwrap import wrap
from typing import ClassVar

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from tilework.debug import views
from tilework.debug.explain import explain, text_of
from tilework.debug.script import COMMANDS, perform
from tilework.debug.session import Session, time_text
from tilework.errors import TileworkError

WIDE, HIGH = 90, 30  # below this one pane is shown at a time
PANES = {"code": "Code", "units": "Units", "registers": "Registers", "memory": "Memory", "timeline": "Timeline"}
PANES |= {"explain": "Explain", "answer": "Answer"}
LEFT, RIGHT = ("code", "timeline"), ("units", "registers", "memory")

KEYS = {  # what the help screen says
    "s or right, b or left": "step forward or back by an instruction",
    "] and [": "forward or back by a cycle",
    "r": "run to the next breakpoint, or to the end",
    "e": "run to the end; 0 goes to the beginning",
    "up, down, page up, page down": "move the cursor over the code, which is explained; or scroll another pane",
    "h": "the cursor back to control",
    "o": "set or delete a breakpoint at the cursor",
    "g": "run to the cursor",
    "tab": "the next stream: a core or a mover",
    "1 to 7": "code, units, registers, memory, timeline, explain, answer: in a small window the pane that is shown",
    ": or enter": "type a command, for example: run to cycle 500",
    "? and q": "this page; leave",
}

_STYLES = {">": "bold reverse", "*": "bold $success", ":": "$warning"}  # the first that is there

CSS = """
Screen { layout: vertical; }
#title { height: 1; background: $primary; color: $text; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
#body { height: 1fr; }
#left { width: 3fr; }
#right { width: 2fr; }
.pane { border: round $primary-darken-1; border-title-color: $text-accent; padding: 0 1; scrollbar-size: 1 1; }
#code, #timeline { text-wrap: nowrap; }
#code Static, #timeline Static, #memory Static { text-wrap: nowrap; text-overflow: ellipsis; }
#code { height: 3fr; overflow: hidden; }
#timeline { height: auto; max-height: 2fr; }
#units { height: 3fr; }
#registers { height: auto; max-height: 1fr; }
#memory { height: 2fr; }
#explain { height: 12; }
#answer { height: auto; max-height: 14; }
.narrow #left, .narrow #right { width: 1fr; }
.narrow .pane { border: none; padding: 0; }
.narrow #code, .narrow #units, .narrow #registers, .narrow #memory,
.narrow #timeline, .narrow #explain, .narrow #answer {
  height: 1fr; max-height: 100%;
}
#command { height: 3; }
"""


class Help(ModalScreen[None]):
    """The keys and the commands; any key leaves."""

    CSS = "Help { align: center middle; } Help VerticalScroll { width: 90%; height: 90%; border: round $accent; }"

    def compose(self) -> ComposeResult:
        rows = [*KEYS.items(), ("", ""), *((usage, text) for usage, text, _ in COMMANDS.values())]
        width = max(len(key) for key, _ in rows) if self.app.size.width >= WIDE else 0
        lines = "\n".join(f"{key:<{width}}  {does}" if width else f"{key}\n    {does}" for key, does in rows)
        text = _wrapped(lines, max(10, self.app.size.width * 9 // 10 - 5), width + 2 if width else 4)
        marks = "in the code: > control, * at work, : in a queue, o breakpoint"
        with VerticalScroll(can_focus=True) as box:
            box.border_title = "Keys, then commands; any key goes back"
            yield Static(f"{text}\n\n{marks}", markup=False)

    def on_key(self, event: events.Key) -> None:
        """Arrows scroll, any other key leaves."""
        if event.key not in ("up", "down", "pageup", "pagedown", "home", "end"):
            event.stop()
            self.dismiss()


class Debugger(App[None]):
    """A session on the screen. The cursor is a place in the code of the stream looked at; None follows control."""

    CSS = CSS
    TITLE = "tilework debug"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,right", "move('step')", "Step"),
        Binding("b,left", "move('back')", "Back"),
        Binding("r", "move('run')", "Run"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("colon,enter", "ask", "Command", key_display=":"),
        Binding("right_square_bracket", "move('step_cycles', 1)", "Cycle+", key_display="]"),
        Binding("left_square_bracket", "move('step_cycles', -1)", "Cycle-", key_display="["),
        Binding("e", "move('run_to_end')", "End", show=False),
        Binding("0", "move('run_to_cycle', 0)", "Beginning", show=False),
        Binding("up", "cursor(-1)", "Up", show=False),
        Binding("down", "cursor(1)", "Down", show=False),
        Binding("pageup", "cursor(-10)", "Page up", show=False),
        Binding("pagedown", "cursor(10)", "Page down", show=False),
        Binding("h,home", "home", "To control", show=False),
        Binding("o", "breakpoint", "Breakpoint", show=False),
        Binding("g", "here", "Run to the cursor", show=False),
        Binding("tab", "stream", "Next stream", show=False, priority=True),
        Binding("escape", "leave", "Leave the command", show=False),
        *(Binding(str(n), f"pane('{pane}')", title, show=False) for n, (pane, title) in enumerate(PANES.items(), 1)),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.at: int | None = None
        self.pane = "code"
        self.answer = "Type : and a command, such as: print nram 0x0 4x4"

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(id="body"):
            for side, panes in (("left", LEFT), ("right", RIGHT)):
                with Vertical(id=side):
                    yield from self._panes(panes)
        yield from self._panes(("explain", "answer"))
        yield Input(placeholder="a command, such as: run to cycle 500", id="command")
        yield Footer()

    def _panes(self, names: tuple[str, ...]) -> Iterator[VerticalScroll]:
        for name in names:
            pane = VerticalScroll(Static(id=f"{name}-text", markup=False), id=name, classes="pane", can_focus=False)
            pane.border_title = PANES[name]
            yield pane

    def on_mount(self) -> None:
        """Hide the command line, and show all."""
        self.query_one("#command").display = False
        self.call_after_refresh(self.show)

    def on_resize(self) -> None:
        """Other panes fit."""
        self.call_after_refresh(self.show)

    @property
    def place(self) -> int:
        """The place in the code that the cursor is at."""
        return self.session.streams()[self.session.focus].place if self.at is None else self.at

    def show(self) -> None:
        """Everything as it now is."""
        if not self.screen_stack or not self.screen_stack[0].query("#title"):
            return
        narrow = self.size.width < WIDE or self.size.height < HIGH
        main = self.screen_stack[0]
        main.set_class(narrow, "narrow")
        for name in PANES:
            main.query_one(f"#{name}").display = name == self.pane if narrow else name != "answer" or self.pane == name
        main.query_one("#body").display = not narrow or self.pane in LEFT + RIGHT
        main.query_one("#left").display = not narrow or self.pane in LEFT
        main.query_one("#right").display = not narrow or self.pane in RIGHT
        pane = f"{PANES[self.pane]} (1-7) · " if narrow else ""
        name = f"{self.session.name} on {self.session.machine.name} · "
        title = f"{pane}{time_text(self.session)}" if narrow else f"{name}{time_text(self.session)}"
        self._write("title", f" {title}")
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        """The panes' text, once their sizes are known."""
        self._write("code-text", self._code())
        self._write("units-text", self._wrapped("units", views.queues(self.session), 11))
        self._write("registers-text", self._wrapped("registers", views.registers(self.session), 11))
        self._write("memory-text", self._safe(self._memory))
        self._write("timeline-text", views.timeline(self.session, max(10, self._width("timeline") - 16)))
        explained = self._safe(lambda: text_of(explain(self.session, self.place)))
        self._write("explain-text", self._wrapped("explain", explained, 12))
        self._write("answer-text", self.answer)

    def _wrapped(self, pane: str, text: str, indent: int) -> str:
        """Lines that go on below their second column, or a little to the right where that leaves too little."""
        width = max(10, self._width(pane) - 1)
        return _wrapped(text, width, indent if width > 3 * indent else 4)

    def _safe(self, make: Callable[[], str]) -> str:
        try:
            return make()
        except TileworkError as error:
            return str(error)

    def _write(self, name: str, content: str | Content) -> None:
        self.screen_stack[0].query_one(f"#{name}", Static).update(content)

    def _width(self, pane: str) -> int:
        return self.screen_stack[0].query_one(f"#{pane}").content_size.width or self.size.width

    def _code(self) -> Content:
        around = max(2, (self.screen_stack[0].query_one("#code").content_size.height - 1) // 2)
        parts: list[tuple[str, str]] = []
        for place, marks, number, text in views.code(self.session, around, self.place):
            style = next((style for mark, style in _STYLES.items() if mark in marks), "")
            underlined = f"{style} underline" if place == self.at else style
            parts += [(f"{marks} {number:>4} ", "dim"), (f"{text}\n", underlined)]
        return Content.assemble(*parts)

    def _memory(self) -> str:
        """The operands of the instruction at the cursor, as tiles."""
        session = self.session
        if session.values is None:
            return "the tile language has bytes, but no values"
        descriptor = session.values.program.streams[session.focus].instructions[self.place].descriptor
        if descriptor is None:
            tiles = perform(session, "tiles 8").text
            return f"{session.trace.code[self.place].split()[0]} has no operands; written last:\n{tiles}"
        letters = "dab"[: 1 + len(descriptor.sources)]
        return "\n".join(self._safe(partial(_operand_text, session, self.place, letter)) for letter in letters)

    def action_move(self, name: str, *arguments: int) -> None:
        """Change the time; what the program must not do is told, and the time stays."""
        try:
            getattr(self.session, name)(*arguments)
        except TileworkError as error:
            self.notify(str(error), severity="error", markup=False)
        self.at = None
        self.show()

    def action_cursor(self, by: int) -> None:
        """Move the cursor over the code; where another pane is all that is shown, that is moved."""
        if self.screen_stack[0].has_class("narrow") and self.pane != "code":
            self.screen_stack[0].query_one(f"#{self.pane}").scroll_relative(y=by, animate=False)
            return
        self.at = min(max(0, self.place + by), len(self.session.trace.code) - 1)
        self.show()

    def action_home(self) -> None:
        """The cursor follows control again."""
        self.at = None
        self.show()

    def action_breakpoint(self) -> None:
        """Set a breakpoint at the cursor, or delete the one there."""
        session, place = self.session, self.place
        there = [p.number for p in session.breakpoints if (p.stream, p.place) == (session.focus, place)]
        self._do(f"delete {there[0]}" if there else f"break instruction {session.trace.numbers[place]}")

    def action_here(self) -> None:
        """Run to the cursor."""
        self._do(f"run to instruction {self.session.trace.numbers[self.place]}")
        self.at = None

    def action_stream(self) -> None:
        """Look at the next stream."""
        self.session.focus = (self.session.focus + 1) % len(self.session.recording.streams)
        self.action_home()

    def action_pane(self, name: str) -> None:
        """Show this pane, where only one fits; the answer beside the others too."""
        self.pane = name
        self.show()

    def action_help(self) -> None:
        """The page of keys and commands."""
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_ask(self) -> None:
        """Open the command line."""
        if isinstance(self.screen, Help):
            return
        line = self.query_one("#command", Input)
        line.display = True
        line.focus()

    def action_leave(self) -> None:
        """Close the command line."""
        line = self.screen_stack[0].query_one("#command", Input)
        line.value = ""
        line.display = False
        self.screen_stack[0].set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do the command that was typed."""
        command = event.value.strip()
        self.action_leave()
        if command in ("q", "quit", "exit"):
            self.exit()
        elif command:
            self._do(command)

    def _do(self, command: str) -> None:
        try:
            self.answer = f"> {command}\n{perform(self.session, command).text}"
            self.pane = "answer" if command.split()[0] not in ("step", "back", "run", "break", "delete") else self.pane
            self.at = None
        except TileworkError as error:
            self.notify(str(error), severity="error", markup=False)
        self.show()


def _wrapped(text: str, width: int, indent: int) -> str:
    """Lines of a width, those that go on beginning further to the right."""
    under = " " * indent
    return "\n".join("\n".join(wrap(line, width, subsequent_indent=under) or [""]) for line in text.splitlines())


def _operand_text(session: Session, place: int, letter: str) -> str:
    return str(session.look().operand(place, letter))


def show(session: Session) -> None:
    """Run the screen until the user leaves."""
    Debugger(session).run()
