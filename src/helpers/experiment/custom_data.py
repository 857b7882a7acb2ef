"""A user's own data: a file in MedMNIST's layout, or folders of images."""

import contextlib
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional

from helpers import InputError
from helpers.source_files import IMAGES, describe_source, from_root, is_hidden, list_files

from .image_cache import (
    SPLITS,
    cache_splits,
    check_pixels,
    decode_images,
    read_header,
    stream_array,
)

#: Labels must be below this, since each number up to the largest is a class.
MAX_CLASSES = 2**15

#: Pillow modes that fit into 8-bit RGB; "1" is black and white.
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def load_custom(path: str, image_size: int, data_dir: str) -> tuple[str, dict, list[str], dict]:
    """Return name, splits, class names and source files of a user's own data.

    The path is a ``.npz`` with the arrays ``train_images``, ``train_labels`` and the same for
    ``val`` and ``test``: images uint8 (N, H, W) or (N, H, W, 3), labels (N,) or (N, 1), whole
    numbers from 0. Or it is a folder with ``train/<class>/``, ``val/<class>/`` and
    ``test/<class>/``, see `convert_to_rgb`; hidden files are ignored, and so are, with a message,
    files that are not images of a class. Images are resized to ``image_size`` pixels on the shorter
    side and cropped to the centre square, once, into ``<data_dir>/cache``.
    """
    place = from_root(path)
    if not place.exists():
        raise InputError(
            f"data_source: {place} does not exist; give a .npz in MedMNIST's layout, a folder with"
            " train, val and test, or official or synthetic"
        )
    files = describe_source(place)
    name, read = (place.name, _read_folders) if place.is_dir() else (place.stem, _read_file)
    labels, classes, parts = read(place, image_size)
    for split, part in zip(SPLITS, labels, strict=True):
        _check_classes(f"{place}: {split}", classes, np.bincount(part, minlength=len(classes)))
    cache = from_root(data_dir) / "cache" / f"own-{image_size}-{files['sha256'][:32]}.npy"
    return name, cache_splits(cache, image_size, parts, labels), classes, files


def _check_classes(split: str, classes: list[str], counts: np.ndarray) -> None:
    """Raise InputError for a class without a training image; report one missing elsewhere."""
    absent = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if not absent or not any(counts):  # an empty split raises another error
        return
    text = f"{split} holds no image of {', '.join(map(repr, absent[:20]))}"
    if split.endswith("train"):
        hint = " (labels count from 0: do these begin at 1?)" if absent == ["class 0"] else ""
        raise InputError(f"{text}{hint}; each class needs one, and labels must have no gaps")
    print(text)


@contextlib.contextmanager
def _opening(place: Path) -> Iterator[zipfile.ZipFile]:
    """Open a .npz; raise a one-line InputError if it is not in MedMNIST's layout."""
    try:
        with zipfile.ZipFile(place) as archive:
            yield archive
    except Exception as error:  # zipfile and numpy raise almost anything for a damaged file
        if getattr(error, "filename", None):  # an error of the operating system, not the layout
            raise InputError(f"cannot read {place}: {error.strerror}; fix it there") from None
        reason = " ".join((str(error).strip("'\"") or type(error).__name__).split())
        raise InputError(
            f"{place} is not in MedMNIST's layout ({reason}); it needs train_images, train_labels,"
            " and the same of val and test"
        ) from None


def _read_file(place: Path, size: int) -> tuple[list, list[str], Iterator[np.ndarray]]:
    """Return the labels of each split, the class names, and all images in chunks."""
    with _opening(place) as archive:
        labels = [_read_labels(archive, split, size) for split in SPLITS]
    count = 1 + max(part.max(initial=-1) for part in labels)

    def stream_images() -> Iterator[np.ndarray]:
        with _opening(place) as archive:
            for part in chain(*(stream_array(archive, f"{split}_images") for split in SPLITS)):
                colour = part if part.ndim == 4 else np.repeat(part[..., None], 3, axis=-1)
                pixels = torch.from_numpy(np.ascontiguousarray(colour.transpose(0, 3, 1, 2)))
                yield functional.center_crop(functional.resize(pixels, size), size).numpy()

    return labels, [f"class {label}" for label in range(count)], stream_images()


def _read_labels(archive: zipfile.ZipFile, split: str, size: int) -> np.ndarray:
    shape, dtype, _ = read_header(archive, f"{split}_images")
    if dtype != np.uint8:
        raise TypeError(f"its images are {dtype}, not uint8")
    if len(shape) not in (3, 4) or shape[3:] not in ((), (3,)):
        raise ValueError(f"its images are of shape {shape}")
    check_pixels(shape[2], shape[1], size)
    labelled, dtype, _ = read_header(archive, f"{split}_labels")
    if dtype.kind not in "iuf":
        raise TypeError(f"its labels are {dtype}, not numbers")
    if labelled not in (shape[:1], (shape[0], 1)):
        raise ValueError(f"its {split}_labels are of shape {labelled} for {shape[0]} images")
    labels = np.concatenate([np.zeros(0), *stream_array(archive, f"{split}_labels")], axis=None)
    bad = labels[~((labels >= 0) & (labels < MAX_CLASSES) & (labels == np.floor(labels)))]
    if len(bad):
        raise ValueError(f"label {bad[0]:g} is not a whole number from 0 to {MAX_CLASSES - 1:,}")
    return labels.astype(np.int64)


def _read_folders(place: Path, size: int) -> tuple[list, list[str], Iterator[np.ndarray]]:
    if absent := [split for split in SPLITS if not (place / split).is_dir()]:
        raise InputError(f"{place} has no folder {absent[0]}; it needs train, val and test")
    classes, paths, labels, ignored = _list_classes(place), [], [], Counter()
    for split in SPLITS:
        labels.append([])
        for file in list_files(place / split):
            name, *below = file.relative_to(place / split).parts
            if below and file.suffix.lower() in IMAGES:
                paths.append(file)
                labels[-1].append(classes.index(name))
            else:
                ignored[file.suffix.lower() or "no suffix"] += 1
    if ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(ignored.items()))
        print(f"{place}: not images of a class, and ignored: {kinds}")
    images = decode_images(paths, size, convert_to_rgb)
    return [np.array(part, np.int64) for part in labels], classes, images


def _list_classes(place: Path) -> list[str]:
    """Return the sorted names of all visible class folders; refuse names that look the same."""
    folders = [folder for split in SPLITS for folder in (place / split).iterdir()]
    classes = sorted({f.name for f in folders if f.is_dir() and not is_hidden(f.name)})
    seen = {}
    for name in classes:
        if not name.isprintable():  # such as bytes that are not UTF-8
            raise InputError(f"{place}: rename the class folder {name!a}: it is not plain UTF-8")
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise InputError(
                f"{place}: rename the class folder {name!a} or {other!a}: they look the same"
            )
    return classes


def convert_to_rgb(image: Image.Image) -> Image.Image:
    """Return the first frame of an image in 8-bit RGB, upright by its EXIF orientation, on white.

    16-bit images that use more than a quarter of their range are scaled to 8 bits. Others, and
    32-bit, floating-point or signed pixels, raise ValueError.
    """
    grey = image.mode.startswith("I;16")
    deep = grey or ";16" in str(image.tile)  # for colour, Pillow keeps the upper 8 bits
    tags = getattr(image, "tag_v2", {})  # TIFF: 262 is 0 if white is 0; 339 is 2 for signed
    inverted = grey and (tags.get(262) == 0 or "transparency" in image.info)
    if 2 in np.ravel(tags.get(339, 1)) or inverted:
        raise ValueError("signed, inverted or transparent grey; save it as 8-bit RGB")
    image = ImageOps.exif_transpose(image)
    if grey:
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode not in MODES:
        raise ValueError(f"mode {image.mode} does not fit 8-bit RGB; save it as 8-bit RGB")
    if deep and max(high for _, high in image.convert("RGB").getextrema()) < 64:
        raise ValueError("16 bits, of which it uses less than a quarter; save it with 8 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
