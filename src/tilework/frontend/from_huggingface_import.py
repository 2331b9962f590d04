"""transformers, also where torchvision is installed for another torch: it would import that, and fail."""

import sys

try:
    import torchvision  # type: ignore[import-untyped]  # noqa: F401
except ModuleNotFoundError:
    hidden = False
except Exception:
    hidden = True
    sys.modules["torchvision"] = None  # type: ignore[assignment]
else:
    hidden = False

import transformers
from transformers.utils.import_utils import is_torchvision_available

if hidden:
    is_torchvision_available.cache_clear()  # it may have been asked before
    is_torchvision_available()  # and remembers the answer
    del sys.modules["torchvision"]

__all__ = ["transformers"]
