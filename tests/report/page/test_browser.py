"""A page in Chromium: it is quiet, its parts are linked, keys do what the pointer does, and it fits on a telephone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tilework.report.page.subject import Subject, subject_of
from tilework.simulator.timeline import events

from .conftest import HOSTILE, MODULE, chain

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECTIONS = ("summary", "layers", "modules", "roofline", "timeline", "memory", "graph")
expect.set_options(timeout=30_000)
SECONDS = 3.0  # of computing, for 5,000 layers

PageOf = Callable[[Subject], Path]
Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as tools:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        own = tools.chromium.executable_path
        if found is None and not Path(own).exists():
            pytest.skip("Chromium, the browser, isn't there: apt install chromium, or playwright install chromium")
        running = tools.chromium.launch(executable_path=found or own, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, page_of: PageOf) -> Iterator[Opener]:
    """Opens a subject's page; at the end nothing may have been complained of, asked for or shown as a dialogue."""
    pages, heard = [], []

    def go(subject: Subject, width: int = 1400, theme: str = "light", hash: str = "") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append(f"dialogue: {dialog.message}"))
        page.on("request", lambda request: heard.append(f"request: {request.url}") if asks(request.url) else None)
        page.set_default_timeout(60_000)
        page.goto(page_of(subject).as_uri() + hash)
        page.wait_for_selector("html[data-ready]")
        pages.append(page)
        return page

    yield go
    for page in pages:
        page.close()
    assert heard == []


def asks(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


def see(page: Page, section: str) -> None:
    """Bring a section to the window, so that it is drawn."""
    page.evaluate("section => document.getElementById(section).scrollIntoView()", section)
    drawn = {
        "modules": "#treemap rect",
        "roofline": "#roofs circle",
        "timeline": "#time canvas",
        "graph": "#nodes .body",
    }
    if section in drawn:
        page.wait_for_selector(drawn[section], state="attached")
    page.wait_for_timeout(50)


def marked(page: Page) -> dict[str, str]:
    """What each part of the page shows as selected."""
    for section in SECTIONS:
        see(page, section)
    one = {
        "table": "#rows tr[aria-selected=true] th",
        "treemap": "#treemap g:has(rect.marked) text",
        "graph": "#nodes g.marked text",
        "panel": "#panel h2",
    }
    found = {name: page.locator(where).first.text_content() or "" for name, where in one.items()}
    found["roofline"] = str(page.locator("#roofs circle.marked").count())
    found["memory"] = str(page.locator("#live .band").count())
    return found


def test_all_parts_are_drawn_in_light_and_dark(hostile: Subject, opened: Opener) -> None:
    grounds = []
    for theme in ("light", "dark"):
        page = opened(hostile, theme=theme)
        for section in SECTIONS:
            see(page, section)
        assert page.locator("#treemap rect").count() > 8
        assert page.locator("#roofs .roof").count() == 3
        assert page.locator("#nodes .body").count() == len(hostile.graph.nodes)
        assert not page.locator("main .why:visible").count()
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        painted = "Object.keys(Object.groupBy(document.querySelector('#time canvas').getContext('2d')"
        colours = page.evaluate(f"{painted}.getImageData(0, 0, 900, 300).data, (v) => v)).length")
        assert colours > 50
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[0] != grounds[1]


def test_a_layer_chosen_anywhere_is_marked_everywhere(hostile: Subject, opened: Opener) -> None:
    page = opened(hostile)
    own = f"{MODULE}.0.conv"
    everywhere = {"table": own, "panel": own, "treemap": "conv", "roofline": "4", "memory": "1"}

    def check() -> None:
        found = marked(page)
        assert found.pop("graph").endswith(".0.conv")
        assert found == everywhere
        assert page.url.endswith("#layer=" + quote(own, safe="!'()*~-_."))
        page.keyboard.press("Escape")
        assert "#" not in page.url
        expect(page.locator("#panel h2")).to_have_text("No layer selected")

    place = [node.name for node in hostile.graph.nodes].index(own)
    for section, where in (
        ("layers", f"#rows tr[data-node='{place}']"),
        ("modules", f"#treemap g[data-node='{place}'] rect"),
        ("graph", f"#nodes g[data-node='{place}'] text >> nth=0"),
    ):
        see(page, section)
        page.locator(where).click()
        check()
    see(page, "roofline")
    page.evaluate("""place => d3.selectAll("#roofs circle").filter((p) => p.node === place).dispatch("click")""", place)
    check()
    see(page, "timeline")
    click_layer(page, hostile, own)
    check()


def click_layer(page: Page, subject: Subject, name: str) -> None:
    """Click the middle of a layer in the timeline's first row."""
    assert subject.cost
    layer = next(layer for layer in subject.cost.layers if layer.name == name)
    canvas = page.locator("#time canvas")
    box = canvas.bounding_box()
    assert box
    share = (layer.start + layer.end) / 2 / subject.cost.cycles
    canvas.click(position={"x": 108 + share * (box["width"] - 108 - 8), "y": 36})


def test_a_link_leads_to_a_layer(hostile: Subject, opened: Opener) -> None:
    page = opened(hostile, hash=f"#layer={quote(HOSTILE, safe='')}")
    expect(page.locator("#panel h2")).to_have_text(HOSTILE)
    page.evaluate("location.hash = '#layer=fc'")
    expect(page.locator("#panel h2")).to_have_text("fc")
    expect(page.locator("#panel")).to_contain_text("fc:t[n,k] += flat[n,c] * fc.weight[k,c]")
    assert opened(hostile, hash="#layer=%E0%A4%A").locator("#panel.empty").count() == 1


def test_the_panel_shows_nests_tiling_and_program(hostile: Subject, opened: Opener) -> None:
    page = opened(hostile, hash="#layer=fc")
    text = page.locator("#panel").inner_text()
    assert hostile.executable
    assert hostile.executable.compilation
    work = hostile.executable.compilation.works[-1]
    assert str(work.parts[0].tiling).partition(" | ")[0] in text
    (program,) = hostile.executable.bundle.programs
    first, last = program.layers[-1].ranges[0]
    for instruction in program.instructions[first:last]:
        assert str(instruction) in text


def test_keys_move_through_layers_and_instructions(hostile: Subject, opened: Opener) -> None:
    page, names = opened(hostile), [node.name for node in hostile.graph.nodes]
    heading = page.locator("#panel h2")
    for key, name in (("j", names[0]), ("j", names[1]), ("j", names[2]), ("k", names[1])):
        page.keyboard.press(key)
        expect(heading).to_have_text(name)
    page.locator("#rows").focus()
    page.keyboard.press("End")
    expect(heading).to_have_text(names[-1])
    for chart in ("#treemap", "#roofs", "#live", "#nodes"):
        see(page, page.locator(chart).evaluate("box => box.closest('section').id"))
        page.locator(chart).focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        expect(heading).to_have_text(names[1])
        page.keyboard.press("+")
    page.keyboard.press("/")
    page.keyboard.type("fc")
    expect(heading).to_have_text("fc")
    page.keyboard.press("Escape")
    page.locator("#time").focus()
    assert hostile.executable
    every = [event for event in events(hostile.executable.bundle.program) if event.end > event.start]
    loads = [event for event in every if (event.stream, event.unit) == ("core 0 0", "load")]
    stores = [event for event in every if (event.stream, event.unit) == ("core 0 0", "store")]
    said = page.locator("#readout")
    for key, event in (("ArrowRight", loads[0]), ("ArrowRight", loads[1]), ("PageDown", loads[21]), ("+", loads[21])):
        page.keyboard.press(key)
        expect(said).to_contain_text(f"{event.stream} {event.unit}  ·  cycles {event.start:,} to {event.end:,}")
        expect(said.locator("code")).to_have_text(event.text)
    page.keyboard.press("ArrowDown")
    below = max((event for event in stores if event.start <= loads[21].start), key=lambda e: e.start, default=stores[0])
    expect(said.locator("code")).to_have_text(below.text)
    page.keyboard.press("Enter")
    expect(page.locator("#panel pre .here")).to_have_text(below.text)


def test_the_table_is_sorted_and_filtered(hostile: Subject, opened: Opener) -> None:
    page = opened(hostile)
    layers = page.locator("#rows tbody th")
    page.locator("#rows thead button", has_text="MACs").click()
    macs = {row.name: row.macs for row in hostile.count.rows}
    shown = layers.all_text_contents()
    assert [macs[name] for name in shown] == sorted(macs.values(), reverse=True)
    page.locator("#rows thead button", has_text="layer").click()
    assert layers.all_text_contents() == sorted(macs)
    page.locator("#filter").fill("1 RELU")
    assert layers.all_text_contents() == [f"{MODULE}.1.relu"]
    expect(page.locator("#found")).to_have_text("1 of 10")


def test_another_cost_divides_the_treemap(hostile: Subject, opened: Opener) -> None:
    page = opened(hostile)
    see(page, "modules")
    page.locator("#cost").select_option("parameters")
    with_some = {place for place, row in enumerate(hostile.count.rows) if row.parameters}
    places = page.locator("#treemap g[data-node]").evaluate_all("all => all.map((g) => Number(g.dataset.node))")
    assert set(places) == with_some


def test_modules_of_the_graph_open_and_close(opened: Opener) -> None:
    subject = subject_of(chain(1000), "t4")
    page = opened(subject)
    see(page, "graph")
    closed = page.locator("#nodes .body").count()
    assert closed < 100
    page.locator("#nodes g", has=page.locator(".stack")).first.click()
    page.wait_for_timeout(100)
    assert page.locator("#nodes .body").count() > closed
    page.evaluate("location.hash = '#layer=stage0.block77.tanh'")
    expect(page.locator("#nodes g.marked text").first).to_have_text("stage0.block77.tanh")


@pytest.mark.parametrize("width", [360, 800])
def test_nothing_is_wider_than_a_narrow_window(hostile: Subject, opened: Opener, width: int) -> None:
    page = opened(hostile, width=width, hash="#layer=fc")
    for section in SECTIONS:
        see(page, section)
        assert page.evaluate("document.documentElement.scrollWidth") == width, section


def test_all_rows_are_printed(opened: Opener) -> None:
    page = opened(subject_of(chain(1000), "t4"))
    assert page.locator("#rows tbody tr").count() < 100
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#rows tbody tr").count() == 1000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#rows tbody tr").count() < 100


def test_five_thousand_layers_open_soon(opened: Opener, browser: Browser) -> None:
    """By the browser's own processor time, which other work on the machine doesn't lengthen."""
    page = opened(subject_of(chain(5000), "t4"))
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["ProcessTime"] < SECONDS


def test_where_nothing_is_simulated_the_page_says_why(opened: Opener) -> None:
    page = opened(subject_of(chain(8), "h100-sxm"))
    for section in SECTIONS:
        see(page, section) if section != "timeline" else None
    assert page.locator("#timeline .why").inner_text().startswith("There is no timeline: only the peaks")
    assert page.locator("#memory .why").inner_text().startswith("What lies on chip is not known: only the peaks")
