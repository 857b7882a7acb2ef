"""Batches of images on the device, of a set that lives there or of one that is too large for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

#: The part of a GPU's free memory that a set may take; the rest is the network's.
RESIDENT = 0.5


def place(images: Tensor, device: torch.device) -> Tensor:
    """Return images on the device where they fit into `RESIDENT` of its free memory.

    Larger ones stay where they are, and `gather` uploads each batch. On a CPU they always do:
    what is mapped from a file is read from there, and the system keeps of it what fits.
    """
    if device.type != "cuda" or images.nbytes > RESIDENT * torch.cuda.mem_get_info(device)[0]:
        return images
    return images.to(device)


def gather(images: Tensor, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the indices and the images of one batch after the other, where the order is.

    Parameters
    ----------
    images : uint8 (N, 3, S, S), there or elsewhere
    order : int64 (M,), indices of images; the last batch may be smaller
    """
    parts = order.split(batch_size)
    if images.device == order.device:
        for index in parts:
            yield index, images[index]
    else:
        uploads = _upload(images, order.cpu().split(batch_size), order.device)
        yield from zip(parts, uploads, strict=True)


def _upload(images: Tensor, parts: tuple[Tensor, ...], device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device; a thread gathers the next one while the device works.

    Two page-locked buffers take turns: PyTorch uses one again when the copy from it has ended.
    """
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(_gather_pinned, images, parts[0])
        for following in [*parts[1:], None]:
            batch = pending.result()
            if following is not None:
                pending = pool.submit(_gather_pinned, images, following)
            yield batch.to(device, non_blocking=True)


def _gather_pinned(images: Tensor, index: Tensor) -> Tensor:
    shape, pinned = (len(index), *images.shape[1:]), torch.cuda.is_available()
    buffer = torch.empty(shape, dtype=images.dtype, pin_memory=pinned)
    return torch.index_select(images, 0, index, out=buffer)
