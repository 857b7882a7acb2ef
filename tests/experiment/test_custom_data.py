"""A user's own data: the right pictures, or one line that says what to do."""

import os
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import EpsImagePlugin, Image

from helpers import InputError
from helpers.experiment.data import load_data

SPLITS = ("train", "val", "test")


def make_arrays(shape=(6, 20, 20, 3)):
    rng = np.random.default_rng(0)
    images = {f"{s}_images": rng.integers(256, size=shape, dtype=np.uint8) for s in SPLITS}
    return images | {f"{s}_labels": np.arange(shape[0])[:, None] % 3 for s in SPLITS}


def make_folders(place, classes=("dark", "light")):
    for split in SPLITS:
        for level, name in enumerate(classes):
            (place / split / name).mkdir(parents=True)
            for number in range(2):
                image = Image.new("L", (30, 20 + number), 200 * level)
                image.save(place / split / name / f"{number}.png")
    return place


def load(place, size=20):
    return load_data("pathmnist", str(place), str(place.parent / "data"), size)


def test_files_are_read_in_colour_or_grey(tmp_path):
    arrays = make_arrays()
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz")
    assert (data.name, data.official) == ("mine", False)
    assert data.classes == ("class 0", "class 1", "class 2")
    expected = arrays["val_images"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.validation.images.numpy(), expected)
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    np.savez_compressed(tmp_path / "grey.npz", **make_arrays((6, 24, 40)))
    images = load(tmp_path / "grey.npz").train.images
    assert images.shape == (6, 3, 20, 20)  # made square
    assert (images[:, 0] == images[:, 2]).all()


def test_folders_are_read_by_class(tmp_path):
    data = load(place := make_folders(tmp_path / "mine"), 16)
    assert (data.name, data.classes) == ("mine", ("dark", "light"))
    assert data.train.images.shape == (4, 3, 16, 16)
    assert data.test.images.float().mean((1, 2, 3)).tolist() == [0, 0, 200, 200]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.summary["files"]["files"] == 12
    Image.new("L", (30, 20), 7).save(place / "test/light/1.png")
    assert load(place, 16).test.images.float().mean((1, 2, 3)).tolist() == [0, 0, 200, 7]


def ramp(top, dtype):
    return np.linspace(0, top, 400).reshape(20, 20).astype(dtype)


RED = Image.new("RGB", (20, 20), (255, 0, 0))
HALF = Image.fromarray(np.dstack([np.full((20, 20, 3), 255, np.uint8), ramp(255, np.uint8)]))
LEFT = np.zeros((20, 20, 3), np.uint8)
LEFT[:, :10] = 255
TURNED = Image.Exif()
TURNED[0x0112] = 3  # upside down

#: Picture, suffix and options to the expected corners (top left, bottom right) in RGB, or words.
PICTURES = {
    "16-bit grey": (Image.new("I;16", (20, 20), 128 * 257), "png", {}, (128, 128)),
    "12 bits in 16": (Image.fromarray(ramp(4095, np.uint16)), "png", {}, "less than a quarter"),
    "32 bits": (Image.fromarray(ramp(70000, np.int32)), "tif", {}, "signed"),
    "floating point": (Image.fromarray(ramp(1, np.float32)), "tif", {}, "mode F does not fit"),
    "black and white": (Image.fromarray(LEFT).convert("1"), "png", {}, (255, 0)),
    "palette": (RED.quantize(4), "png", {}, ((255, 0, 0),) * 2),
    "CMYK": (RED.convert("CMYK"), "jpg", {}, ((254, 0, 0),) * 2),
    "transparent": (Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "png", {}, (255, 255)),
    "half transparent": (Image.new("RGBA", (20, 20), (0, 0, 0, 51)), "webp", {}, (204, 204)),
    "one transparent colour": (RED, "png", {"transparency": (255, 0, 0)}, (255, 255)),
    "turned by EXIF": (Image.fromarray(LEFT), "png", {"exif": TURNED}, (0, 255)),
    "animation": (RED, "gif", {"save_all": True, "append_images": [HALF]}, ((255, 0, 0),) * 2),
    "pages": (RED, "tif", {"save_all": True, "append_images": [HALF]}, ((255, 0, 0),) * 2),
    "a program for Ghostscript": (RED, "eps", {}, "cannot identify image"),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_right_or_refused_by_name(tmp_path, monkeypatch, name):
    image, suffix, options, expected = PICTURES[name]
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: pytest.fail("run"))
    place = make_folders(tmp_path / "mine")
    image.save(tmp_path / f"a.{suffix}", **options)
    victim = place / "train/dark" / f"a.{suffix.replace('eps', 'png')}"
    (tmp_path / f"a.{suffix}").rename(victim)
    if isinstance(expected, str):
        with pytest.raises(InputError, match=rf"replace or remove {victim} \(.*{expected}"):
            load(place)
        return
    index = sorted(path.name for path in victim.parent.iterdir()).index(victim.name)
    found = load(place).train.images[index]
    for pixel, value in zip((found[:, 0, 0], found[:, -1, -1]), expected, strict=True):
        np.testing.assert_allclose(pixel, value, atol=1)


def test_all_damaged_images_are_named_at_once(tmp_path):
    place = make_folders(tmp_path / "mine")
    for victim in ("train/dark/0.png", "test/light/1.png"):
        (place / victim).write_bytes((place / victim).read_bytes()[:50])
    Image.new("1", (8000, 8000)).save(place / "val/dark/0.png")
    pattern = "3 of 12 .*train/dark/0.png .*val/dark/0.png .8000 x 8000 pixels.*test/light/1.png"
    with pytest.raises(InputError, match=pattern) as error:
        load(place)
    assert "\n" not in str(error.value)


def test_other_files_are_counted_and_hidden_ones_ignored(tmp_path, capsys):
    place = make_folders(tmp_path / "mine")
    expected = load(place).sha256
    assert capsys.readouterr().out == ""
    for name in (".DS_Store", ".ipynb_checkpoints/a.png", "dark/.a.png"):
        (place / "train" / name).parent.mkdir(exist_ok=True)
        (place / "train" / name).write_text("x")
    assert load(place).sha256 == expected
    assert capsys.readouterr().out == ""
    for name in ("train/dark/Thumbs.db", "train/a.png", "val/light/a.HEIC", "val/light/b.heic"):
        (place / name).write_text("x")
    assert load(place).sha256 == expected
    assert "not images of a class, and ignored: 1 .db, 2 .heic, 1 .png" in capsys.readouterr().out


@pytest.mark.parametrize("door", ["file", "folder"])
@pytest.mark.parametrize("split", SPLITS)
def test_a_class_that_a_split_lacks_gets_the_same_answer(tmp_path, capsys, door, split):
    if door == "file":
        place, absent = tmp_path / "mine.npz", "class 0"
        np.savez(place, **make_arrays() | {f"{split}_labels": np.array([1, 2] * 3)})
    else:
        place, absent = make_folders(tmp_path / "mine"), "dark"
        for path in sorted((place / split / absent).iterdir()):
            path.unlink()
    line = f"{place}: {split} holds no image of '{absent}'"
    if split == "train":
        with pytest.raises(InputError, match=line):
            load(place)
    else:
        assert len(load(place).classes) == {"file": 3, "folder": 2}[door]
        assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_images": None}, "val_images"),
        ({"test_images": np.zeros((6, 20, 20, 3))}, "its images are float64, not uint8"),
        ({"test_images": np.zeros((6, 20, 20, 4), np.uint8)}, "its images are of shape"),
        ({"test_images": np.zeros((6, 0, 20, 3), np.uint8)}, "20 x 0 pixels cannot be"),
        ({"test_images": np.zeros((1, 1, 100_000), np.uint8)}, "100000 x 1 pixels cannot be"),
        ({"train_labels": np.zeros((6, 14))}, r"train_labels are of shape \(6, 14\) for 6 images"),
        ({"val_labels": np.array(list("abcdef"))}, "its labels are <U1, not numbers"),
        ({"val_labels": np.array([None] * 6)}, "val_labels holds objects, not numbers"),
        ({"val_images": np.zeros((3, 20, 20, 6), np.uint8).T}, "val_images is in Fortran order"),
        ({"val_labels": np.array([0, 1, 0.2, 1, 1.7, 0])}, "label 0.2 is not a whole number"),
        ({"val_labels": np.array([0, 1, 2, 1, np.nan, 0])}, "label nan is not a whole number"),
        ({"val_labels": np.full(6, 2**64 - 1, np.uint64)}, r"label 1.8\S* is not a whole number"),
        ({"train_labels": np.array([-1] * 6)}, "label -1 is not a whole number from 0 to 32,767"),
        ({f"{s}_labels": np.arange(1, 7) for s in SPLITS}, "'class 0' .*do these begin at 1?"),
        ({"train_labels": np.array([0, 2] * 3)}, "train holds no image of 'class 1'; each class"),
    ],
)
def test_a_file_in_another_layout_is_named(tmp_path, change, message):
    arrays = {name: array for name, array in (make_arrays() | change).items() if array is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=f"mine.npz.*{message}"):
        load(tmp_path / "mine.npz")


def test_a_fuzzed_file_is_read_or_refused_in_one_line(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "mine.npz"
    np.savez_compressed(path, **make_arrays())
    whole = path.read_bytes()
    for _ in range(100):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content)) if rng.random() < 0.3 else None])
        try:
            load(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017


def write_header(shape):
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00v\x00" + text.encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (write_header((10**12, 20, 20, 3)), "too short"),
        (b"\x93NUMPY\x02\x00\x00\x00\x00\x7f" + bytes(2**26), "MedMNIST's layout"),
        (write_header((30_000, 20, 20, 3)) + bytes(36_000_000), "0.0 GB of disk and 0.0 GB of mem"),
    ],
)
def test_what_fits_nowhere_is_refused_first(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=30_000_000))
    monkeypatch.setattr(os, "access", lambda *_: False)
    arrays = make_arrays() | {"train_labels": np.arange(30_000) % 3}
    del arrays["train_images"]
    np.savez_compressed(tmp_path / "mine.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "mine.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", content)
    tracemalloc.start()
    with pytest.raises(InputError, match=message):
        load(tmp_path / "mine.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("\u00e9", "e\u0301"), "rename the class folder .* or .*: they look the same"),
        (("a", os.fsdecode(b"caf\xe9")), r"rename the class folder 'caf\\udce9': it is not plain"),
    ],
)
def test_class_names_that_cannot_be_told_apart_are_named(tmp_path, classes, message):
    with pytest.raises(InputError, match=message):
        load(make_folders(tmp_path / "mine", classes))


def test_folders_without_images_or_splits_are_named(tmp_path):
    (tmp_path / "mine/train").mkdir(parents=True)
    with pytest.raises(InputError, match="mine has no folder val; it needs train, val and test"):
        load(tmp_path / "mine")
    for split in SPLITS:
        (tmp_path / "mine" / split / "a").mkdir(parents=True)
    with pytest.raises(InputError, match="the train split has no image"):
        load(tmp_path / "mine")
