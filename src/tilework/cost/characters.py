"""Names as they can be printed: no characters that steer a terminal, and no more columns than there are."""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """The text with a backslash escape for every character that doesn't print, such as a line's end."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def width(text: str) -> int:
    """The columns that a text takes in a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) for c in text)


def shortened(text: str, limit: int) -> str:
    """The text, its middle replaced where it takes more columns than the limit (1 or more)."""
    if width(text) <= limit:
        return text
    left = (limit - 1) // 2
    start, end = _taken(text, left), _taken(text[::-1], limit - 1 - left)
    return f"{start}…{end[::-1]}"


def _taken(text: str, limit: int) -> str:
    taken = ""
    for c in text:
        limit -= width(c)
        if limit < 0:
            break
        taken += c
    return taken
