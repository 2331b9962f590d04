"""The exercises' answers, each computed once."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tilework.commands.exercise import load_exercise

Answer = dict[str, Any]


@cache
def _json(number: str) -> str:
    return json.dumps(load_exercise(number).answer())


@pytest.fixture
def answer_to() -> Callable[[str], Answer]:
    """The answer to an exercise as a reader of its JSON gets it."""
    return lambda number: json.loads(_json(number))
