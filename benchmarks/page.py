"""How large the pages of `tilework report` are, and how long Chromium takes to open them.

    python benchmarks/page.py [--quick]

A page is open when its table and its charts are there and its data unpacked. The first time is that of the browser's
clock, the least of the turns, the second is what the page's process computed, the median of the turns, which other work
on the machine lengthens less. Nothing here passes or fails.
"""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

import tilework as tw

TURNS = 5
PAGES = (("alexnet", "dlp-s"), ("mobilenet_v2", "dlp-m4"), ("resnet50", "dlp-m4"), ("vit_b_16", "dlp-m4"))
LARGE = 5000  # layers


def chain(layers: int) -> tw.Graph:
    """Blocks of four layers with a skip, 250 blocks to a stage."""
    b = tw.GraphBuilder("blocks")
    x = b.input("x", (1, 8, 16, 16))
    for number in range(layers // 4):
        module = f"stage{number // 250}.block{number % 250}"
        y = b.node(f"{module}.conv", "conv2d", x, b.weight(f"{module}.w", (8, 8, 3, 3)), padding=(1, 1))
        y = b.node(f"{module}.tanh", "tanh", b.node(f"{module}.relu", "relu", y))
        x = b.node(f"{module}.add", "add", x, y)
    return b.graph(x)


def opened(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds until the page is open, and of computing."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=120_000)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    ready = float(page.evaluate("document.documentElement.dataset.ready")) / 1000
    page.close()
    return ready, metrics["ProcessTime"]


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the first page, once")
    quick = parser.parse_args().quick
    networks = PAGES[:1] if quick else (*PAGES, (chain(LARGE), "dlp-s"))
    print("| network | machine | layers | cycles | events | one by one | bytes | open | computing |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with sync_playwright() as tools, TemporaryDirectory() as folder:
        own = tools.chromium.executable_path
        found = own if Path(own).exists() else shutil.which("chromium") or shutil.which("google-chrome")
        for network, machine in networks:
            path = Path(folder) / "page.html"
            made = tw.write_report(network, machine, path)
            times = []
            for _ in range(1 if quick else TURNS):
                browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
                times.append(opened(browser, path))
                browser.close()
            ready, computing = min(one for one, _ in times), median(two for _, two in times)
            print(
                f"| {made.network} | {made.machine} | {made.layers:,} | {made.cycles:,} | {made.events:,} "
                f"| {made.events_shown:,} | {made.bytes:,} | {ready:.2f} s | {computing:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
