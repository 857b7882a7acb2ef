"""A user's own data: the right pictures, or one line that says what to do."""

import contextlib
import io
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from helpers import InputError
from helpers.experiment.data import load_data

SPLITS = ("train", "val", "test")


def make_arrays(shape=(6, 20, 20, 3)):
    rng = np.random.default_rng(0)
    images = {f"{s}_images": rng.integers(256, size=shape, dtype=np.uint8) for s in SPLITS}
    return images | {f"{s}_labels": np.arange(shape[0])[:, None] % 3 for s in SPLITS}


def make_folders(place, classes=("dark", "light"), each=2):
    for split in SPLITS:
        for level, name in enumerate(classes):
            (place / split / name).mkdir(parents=True)
            for number in range(each):
                image = Image.new("L", (30, 20 + number), 200 * level)
                image.save(place / split / name / f"{number}.png")
    return place


def load(place, size=20):
    return load_data("pathmnist", str(place), str(place.parent / "data"), size)


def test_files_are_read_in_colour_or_grey_and_folders_by_class(tmp_path):
    arrays = make_arrays()
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz")
    assert (data.name, data.official) == ("mine", False)
    expected = arrays["val_images"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.validation.images.numpy(), expected)
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    np.savez_compressed(tmp_path / "grey.npz", **make_arrays((6, 24, 40)))
    images = load(tmp_path / "grey.npz").train.images  # made square
    assert (images[:, 0] == images[:, 2]).all()
    data = load(make_folders(tmp_path / "mine"), 16)
    assert (data.name, data.classes) == ("mine", ("dark", "light"))
    assert data.train.images.shape == (4, 3, 16, 16)
    assert data.test.images.float().mean((1, 2, 3)).tolist() == [0, 0, 200, 200]
    assert data.test.labels.tolist() == [0, 0, 1, 1]


def ramp(top, dtype):
    return np.linspace(0, top, 400).reshape(20, 20).astype(dtype)


def save(image, kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def save_deep(top) -> bytes:
    """A PNG with 16 bits a colour, which Pillow reads but does not write."""
    rows = np.dstack([ramp(top, np.uint16)] * 3).astype(">u2")
    header = struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    png = b"\x89PNG\r\n\x1a\n"
    for name, text in ((b"IHDR", header), (b"IDAT", content), (b"IEND", b"")):
        png += struct.pack(">I", len(text)) + name + text
        png += struct.pack(">I", zlib.crc32(name + text))
    return png


RED = Image.new("RGB", (20, 20), (255, 0, 0))
BLUE = Image.new("RGB", (20, 20), (0, 0, 255))
IS_RED = ((255, 0, 0),) * 2
LEFT = np.zeros((20, 20, 3), np.uint8)
LEFT[:, :10] = 255
TURNED = Image.Exif()
TURNED[0x0112] = 3  # upside down
GREY16 = save(ramp(65535, np.uint16), "TIFF")
WHITE_IS_ZERO = [struct.pack("<HHII", 262, 3, 1, value) for value in (1, 0)]
MORE = {"save_all": True, "append_images": [BLUE]}

#: A file's content to the expected corners (top left, bottom right) in RGB, or to words.
PICTURES = {
    "16-bit grey": (save(Image.new("I;16", (20, 20), 128 * 257)), (128, 128)),
    "16-bit grey TIFF": (GREY16, (0, 255)),
    "12 bits in 16": (save(ramp(4095, np.uint16)), "less than a quarter; save it with 8 bits"),
    "16-bit colour": (save_deep(65535), (0, 255)),
    "12 bits in 16 of colour": (save_deep(4095), "less than a quarter; save it with 8 bits"),
    "16-bit grey, inverted": (GREY16.replace(*WHITE_IS_ZERO), "inverted"),
    "8 bits with a sign": (save(ramp(99, np.uint8), "TIFF", tiffinfo={339: 2}), "signed"),
    "32 bits": (save(ramp(70000, np.int32), "TIFF"), "signed"),
    "32 bits of PGM": (save(Image.new("I", (20, 20)), "PPM"), "mode I does not fit"),
    "floating point": (save(ramp(1, np.float32), "TIFF"), "mode F does not fit"),
    "L*a*b*": (save(Image.new("LAB", (20, 20)), "TIFF"), "mode LAB does not fit"),
    "black and white": (save(Image.fromarray(LEFT).convert("1")), (255, 0)),
    "palette": (save(RED.quantize(4)), IS_RED),
    "CMYK": (save(RED.convert("CMYK"), "JPEG"), ((254, 0, 0),) * 2),
    "YCbCr": (save(RED.convert("YCbCr"), "TIFF"), ((254, 0, 0),) * 2),
    "transparent": (save(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), (255, 255)),
    "half transparent": (save(Image.new("RGBA", (20, 20), (0, 0, 0, 51)), "WEBP"), (204, 204)),
    "grey and alpha": (save(Image.new("LA", (20, 20), (0, 51))), (204, 204)),
    "one transparent colour": (save(RED, transparency=(255, 0, 0)), (255, 255)),
    "turned by EXIF": (save(LEFT, exif=TURNED), (0, 255)),
    "animated GIF": (save(RED, "GIF", **MORE), IS_RED),
    "animated PNG": (save(RED, **MORE), IS_RED),
    "animated WebP": (save(RED, "WEBP", lossless=True, **MORE), IS_RED),
    "pages": (save(RED, "TIFF", **MORE), IS_RED),
    "a program for Ghostscript": (save(RED, "EPS"), "cannot identify image"),
    "cut short": (save(RED, "BMP")[:900], "truncated"),
    "empty": (b"", "cannot identify image"),
    "too large": (save(Image.new("1", (8000, 8000))), "8000 x 8000 pixels cannot be"),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_right_or_refused_by_name(tmp_path, monkeypatch, name):
    content, expected = PICTURES[name]
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: pytest.fail("run"))
    place = make_folders(tmp_path / "mine")
    (place / "train/dark/a.png").write_bytes(content)  # read by content, not by suffix
    if isinstance(expected, str):
        (place / "test/light/1.png").write_bytes(content)
        pattern = rf"2 of 13 .*remove {place}/train/dark/a.png \(.*{expected}.*test/light/1.png"
        with pytest.raises(InputError, match=pattern) as error:
            load(place)
        assert "\n" not in str(error.value)
        return
    found = load(place).train.images[2]
    for pixel, value in zip((found[:, 0, 0], found[:, -1, -1]), expected, strict=True):
        np.testing.assert_allclose(pixel, value, atol=1)


def rename(place, old, new):
    for split in SPLITS:
        (place / split / old).rename(place / split / new)


JUNK = ("train/dark/Thumbs.db", "train/a.png", "val/light/a.HEIC", "val/light/b.heic", "val/x")

#: Files that are written or a change, to what is printed or to the error's words after "!".
FOLDERS = {
    "hidden": (("train/.DS_Store", "train/.ipynb_checkpoints/a.png", "val/dark/._a.png"), ""),
    "macOS's": (("train/__MACOSX/dark/._a.png", "__MACOSX/._train"), ""),
    "beside the splits": (("README.txt", "labels.csv", "all/dark/a.png"), ""),
    "foreign": (JUNK, "not images of a class, and ignored: 1 .db, 2 .heic, 1 .png, 1 no suffix"),
    "link upwards": (lambda p: (p / "train/dark/all").symlink_to(p / "train"), ""),
    "broken link": (
        lambda p: (p / "val/dark/a.png").symlink_to("b"),
        "!cannot read .*a.png: No",
    ),
    "no class in test": (lambda p: shutil.rmtree(p / "test/dark"), "test holds no image of 'dark'"),
    "none in train": (lambda p: shutil.rmtree(p / "train/dark"), "!train holds no image of 'dark'"),
    "empty class": (lambda p: (p / "val/notes").mkdir(), "!train holds no image of 'notes'"),
    "other case": (lambda p: (p / "val/dark").rename(p / "val/Dark"), "!train holds no .* 'Dark'"),
    "no split": (
        lambda p: shutil.rmtree(p / "val"),
        "!mine has no folder val; it needs",
    ),
    "no image": (lambda p: shutil.rmtree(p / "test"), "!mine has no folder test"),
    "look the same": (
        lambda p: (rename(p, "dark", "\u00e9"), rename(p, "light", "e\u0301")),
        "!rename the class folder .* or .*: they look the same",
    ),
    "Latin 1": (
        lambda p: rename(p, "dark", os.fsdecode(b"caf\xe9")),
        r"!'caf\\udce9': it is not",
    ),
    "line break": (lambda p: rename(p, "dark", "da\nrk"), r"!rename the class folder 'da\\nrk'"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_read_or_refused_in_one_line(tmp_path, capsys, name):
    change, expected = FOLDERS[name]
    before = load(place := make_folders(tmp_path / "mine"))
    assert capsys.readouterr().out == ""
    for name in change if isinstance(change, tuple) else ():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x")
    if callable(change):
        change(place)
    if expected.startswith("!"):
        with pytest.raises(InputError, match=expected[1:]) as error:
            load(place)
        assert "\n" not in str(error.value)
        return
    np.testing.assert_array_equal(load(place).train.images, before.train.images)
    assert capsys.readouterr().out == (f"{place}: {expected}\n" if expected else "")


#: A change of the arrays of a file to the words of the error, or what is printed.
FILES = [
    ({"val_images": None}, "!val_images"),
    ({"test_images": np.zeros((6, 20, 20, 3), np.uint16)}, "!its test_images are uint16 of shape"),
    ({"test_images": np.zeros((6, 20, 20, 4), np.uint8)}, "!its test_images are uint8 of shape"),
    ({"test_images": np.zeros((6, 3, 20, 20), np.uint8)}, "!its test_images are uint8 of shape"),
    ({"test_images": np.zeros((7, 20, 20), np.uint8)}, r"!not uint8 \(6, H, W\)"),
    ({"test_images": np.zeros((6, 0, 20, 3), np.uint8)}, "!20 x 0 pixels cannot be"),
    ({"test_images": np.zeros((6, 1, 100_000), np.uint8)}, "!100000 x 1 pixels cannot be"),
    ({"train_labels": np.zeros((6, 14))}, r"!train_labels are float64 of shape \(6, 14\)"),
    ({"val_labels": np.array(list("abcdef"))}, "!its val_labels are <U1 of shape"),
    ({"val_labels": np.array([None] * 6)}, "!Object arrays cannot be loaded"),
    ({"val_images": np.zeros((3, 20, 20, 6), np.uint8).T}, "!20, 3\\) in Fortran order"),
    ({"val_labels": np.array([0, 1, 0.2, 1, 1.7, 0])}, "!label 0.2 is not a whole number"),
    ({"val_labels": np.array([0, 1, 2, 1, np.nan, 0])}, "!label nan is not a whole number"),
    ({"val_labels": np.full(6, 2**64 - 1, np.uint64)}, r"!label 1.8\S* is not a whole number"),
    ({"train_labels": np.array([-1] * 6)}, "!label -1 is not a whole number from 0 to 32,767"),
    ({f"{s}_labels": np.arange(1, 7) for s in SPLITS}, "!'class 0' .*do these begin at 1?"),
    ({"train_labels": np.array([0, 2] * 3)}, "!train holds no image of 'class 1'; each class"),
    ({"test_labels": np.array([1, 2] * 3)}, "test holds no image of 'class 0'"),
    ({"test_labels": np.array([0.0, 1, 2] * 2)}, ""),
]


@pytest.mark.parametrize(("change", "expected"), FILES)
def test_a_file_is_read_or_refused_in_one_line(tmp_path, capsys, change, expected):
    arrays = {name: array for name, array in (make_arrays() | change).items() if array is not None}
    np.savez(place := tmp_path / "mine.npz", **arrays)
    if expected.startswith("!"):
        with pytest.raises(InputError, match=f"mine.npz.*{expected[1:]}"):
            load(place)
        return
    assert load(place).classes == ("class 0", "class 1", "class 2")
    assert capsys.readouterr().out == (f"{place}: {expected}\n" if expected else "")


def test_a_fuzzed_file_is_read_or_refused_in_one_line(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "mine.npz"
    np.savez_compressed(path, **make_arrays())
    whole = path.read_bytes()
    for _ in range(100):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content)) if rng.random() < 0.3 else None])
        with contextlib.suppress(InputError):
            load(path)
