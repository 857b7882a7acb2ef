"""Old name, until the second house is done."""

from .models import fuse_batch_norm as fold

__all__ = ["fold"]
