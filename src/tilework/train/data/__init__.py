"""Data sets: where examples come from, how pictures are prepared and changed, and in which order they are seen."""
