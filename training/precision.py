"""The number format that models are trained in."""

from __future__ import annotations

import torch

from app.engine.cpu import has_bfloat16


def number_format() -> torch.dtype:
    """bfloat16, or float32 on a CPU without instructions for bfloat16."""
    return torch.bfloat16 if torch.cuda.is_available() or has_bfloat16() else torch.float32
