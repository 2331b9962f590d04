"""4.6: two functions that prepare a picture, and augmentations."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tilework as tw

TITLE = "Two ways to prepare a picture, and augmentations"
QUESTION = """
Write two functions that make an input of 224 x 224 from a picture of any size: one resizes to 256 x 256 and
cuts out the centre, one cuts out the centre 0.875 of each side and resizes that. What of the picture does each
keep? Which random changes make more pictures of one?
"""
NOTICE = """
224 / 256 is 0.875, so both keep the same centre and both squeeze a wide picture into a square; they differ only
in the order, and the results by a few levels, at edges most. (Cut first, what goes is a whole number of
pixels: of 300 rows 18 on each side.) Cropping first touches fewer pixels.

What torchvision does is something else: the shorter side becomes 256, so the picture keeps its proportions and
a wide one loses more at its sides.

The augmentations are drawn from a seed: the same seed gives the same pictures, so a training run that is
interrupted can go on as if it hadn't been.
"""

WIDTH, HEIGHT, SIZE = 400, 300, 224
FRAMINGS = {"square": "resize 256 x 256, cut 224", "centre": "cut 0.875, resize 224", "shorter": "torchvision's"}
STEPS: dict[str, dict[str, Any]] = {
    "flip": {"flip": 1},
    "shift by up to 20": {"shift": 20},
    "turn by up to 15 degrees": {"affine": (15, 0, 0)},
    "elastic": {"elastic": (34, 4)},
    "brightness 1 ± 0.4": {"brightness": 0.4},
    "contrast 1 ± 0.4": {"contrast": 0.4},
    "saturation 1 ± 0.4": {"saturation": 0.4},
    "cutout of 64": {"cutout": 64},
}


def answer() -> dict[str, Any]:
    """`framings`: by name what is kept of width and height; `difference` of the two asked for, `augmentations`.

    The part that is kept is read from a picture whose red grows from left to right and whose green from top to
    bottom. Differences are in levels of 0..255: the mean and, for the two framings, the largest.
    """
    import numpy as np

    ramps = np.zeros((HEIGHT, WIDTH, 3))
    ramps[..., 0] = np.linspace(0, 255, WIDTH)
    ramps[..., 1] = np.linspace(0, 255, HEIGHT)[:, None]
    rows, columns = np.indices((HEIGHT, WIDTH))
    waves = 127.5 + 127.5 * np.sin(np.hypot(rows - 150, columns - 200)[..., None] / np.array([4, 7, 11]))
    with TemporaryDirectory() as folder:
        seen = {name: _framed(folder, ramps, name) for name in FRAMINGS}
        first, second = (_framed(folder, waves, name) for name in ("square", "centre"))
    apart = np.abs(first - second)
    return {
        "picture": [WIDTH, HEIGHT],
        "framings": {name: _kept(image) for name, image in seen.items()},
        "difference": {"mean": float(apart.mean()), "largest": float(apart.max())},
        "augmentations": {name: _changed(first, steps) for name, steps in STEPS.items()},
    }


def _framed(folder: str, levels: Any, framing: str) -> Any:
    """The picture as [3,224,224] of 0..255."""
    path = Path(folder) / "picture.png"
    import_module("PIL.Image").fromarray(levels.round().astype("uint8")).save(path)
    return (tw.photograph(path, SIZE, "tf", framing)[0] + 1) * 127.5


def _kept(image: Any) -> dict[str, float]:
    """The share of each side, from the slope of its ramp."""
    import numpy as np

    lines = {"width": image[0].mean(0), "height": image[1].mean(1)}
    whole = {"width": 255 * WIDTH / (WIDTH - 1), "height": 255 * HEIGHT / (HEIGHT - 1)}  # from edge to edge
    places = np.arange(SIZE)
    return {side: float(np.polyfit(places, line, 1)[0] * SIZE / whole[side]) for side, line in lines.items()}


def _changed(image: Any, steps: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    change, batch = tw.augmentation(**steps), (image[None] / 255).astype(np.float32)
    once, again, other = (change(batch, np.random.default_rng(seed)) for seed in (0, 0, 1))
    return {
        "mean_change": float(255 * np.abs(once - batch).mean()),
        "same_with_the_same_seed": once.tobytes() == again.tobytes(),
        "same_with_another_seed": once.tobytes() == other.tobytes(),
    }


def text(answer: dict[str, Any]) -> str:
    """What is kept, the difference, and what each augmentation changes."""
    width, height = answer["picture"]
    kept = [
        (FRAMINGS[name], *(f"{100 * part[side]:.1f} %" for side in ("width", "height")))
        for name, part in answer["framings"].items()
    ]
    changed = [
        (name, f"{found['mean_change']:.1f}", "yes" if found["same_with_the_same_seed"] else "no")
        for name, found in answer["augmentations"].items()
    ]
    difference = answer["difference"]
    return "\n".join(
        [
            tw.table((f"of a picture {width} x {height}", "width kept", "height kept"), kept),
            "",
            f"the first two differ by {difference['mean']:.2f} levels of 255 on average, {difference['largest']:.0f} "
            "at most",
            "",
            tw.table(("augmentation", "mean change in levels", "again with its seed"), changed),
        ]
    )
