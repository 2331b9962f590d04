"""What ATen's operators are in Tilework's terms: importing this registers the rows of all families.

A row gets the call's context and the operator's arguments as its schema has them. Named operations are preferred, then
`pointwise` and `reduce`, then work for the host; a row that fits only some calls says `c.unknown()` for the others.
"""

from tilework.frontend.from_torch import (
    aten_activation,
    aten_algebra,
    aten_attention,
    aten_contraction,
    aten_factory,
    aten_gather,
    aten_image,
    aten_movement,
    aten_normalisation,
    aten_pointwise,
    aten_recurrent,
    aten_reduction,
)

FAMILIES = (
    aten_pointwise,
    aten_activation,
    aten_reduction,
    aten_contraction,
    aten_attention,
    aten_normalisation,
    aten_recurrent,
    aten_movement,
    aten_factory,
    aten_gather,
    aten_algebra,
    aten_image,
)
