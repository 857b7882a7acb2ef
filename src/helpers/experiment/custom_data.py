"""A user's own data: a file in MedMNIST's layout, or folders of images."""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from helpers import InputError
from helpers.data_files import IMAGES, describe_source, from_root, is_hidden, list_files

from .image_cache import cache_images, decode_images
from .medmnist_file import SPLITS, read_arrays

#: Pillow modes that fit into 8-bit RGB; "1" is black and white.
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def load_custom(path: str, image_size: int, data_dir: str) -> tuple[str, dict, list[str], dict]:
    """Return name, splits, class names and source files of a user's own data.

    The path is a ``.npz`` with the arrays ``train_images``, ``train_labels`` and the same for
    ``val`` and ``test``: images uint8 (N, H, W) or (N, H, W, 3), labels (N,) or (N, 1), whole
    numbers from 0. Or it is a folder with ``train/<class>/``, ``val/<class>/`` and
    ``test/<class>/``, see `convert_to_rgb`; hidden files are ignored, and so are, with a message,
    files that are not images of a class. Images are resized to ``image_size`` pixels on the shorter
    side and cropped to the centre square, once, see `cache_images`.
    """
    place = from_root(path)
    if not place.exists():
        raise InputError(
            f"data_source: {place} does not exist; give a .npz in MedMNIST's layout, a folder with"
            " train, val and test, or official or synthetic"
        )
    files = describe_source(place)
    if place.is_dir():
        name = place.name
        labels, classes, images = _read_folders(place, image_size)
    else:
        name = place.stem
        labels, images = read_arrays(place, image_size)
        count = 1 + max(part.max(initial=-1) for part in labels)
        classes = [f"class {label}" for label in range(count)]
    for split, part in zip(SPLITS, labels, strict=True):
        _check_classes(f"{place}: {split}", classes, np.bincount(part, minlength=len(classes)))
    cache = from_root(data_dir) / "cache" / f"own-{image_size}-{files['sha256'][:32]}.npy"
    return name, cache_images(cache, image_size, labels, images), classes, files


def _check_classes(split: str, classes: list[str], counts: np.ndarray) -> None:
    """Raise InputError for a class without a training image; report one missing elsewhere."""
    if not any(counts):
        raise InputError(f"{split} has no image")
    absent = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    text = f"{split} holds no image of {', '.join(map(repr, absent[:20]))}"
    if absent and split.endswith("train"):
        hint = " (labels count from 0: do these begin at 1?)" if absent == ["class 0"] else ""
        raise InputError(f"{text}{hint}; each class needs one, and labels must have no gaps")
    if absent:
        print(text)


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
