"""Own data: a file in MedMNIST's layout, or folders of images."""

import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from PIL import Image

from helpers import InputError
from helpers.experiment.data import load_data
from helpers.runs.parameters import resolve

SPLITS = ("train", "val", "test")


def make_arrays(shape=(6, 20, 20, 3)):
    generator = np.random.default_rng(0)
    images = {f"{s}_images": generator.integers(256, size=shape, dtype=np.uint8) for s in SPLITS}
    return images | {f"{s}_labels": np.arange(shape[0])[:, None] % 3 for s in SPLITS}


def load(path, size=20):
    return load_data("pathmnist", str(path), "nowhere", size)


def test_a_file_is_read_as_it_is(tmp_path):
    arrays = make_arrays()
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz")
    assert (data.name, data.official) == ("mine", False)
    assert data.classes == ("class 0", "class 1", "class 2")
    expected = arrays["val_images"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.validation.images.numpy(), expected)
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert len(data.summary["sha256"]) == 64


def test_grey_images_of_another_size_are_made_square(tmp_path):
    np.savez(tmp_path / "grey.npz", **make_arrays((6, 24, 40)))
    data = load(tmp_path / "grey.npz")
    assert data.train.images.shape == (6, 3, 20, 20)
    assert (data.train.images[:, 0] == data.train.images[:, 2]).all()
    assert data.summary["train"] == 6


def test_folders_are_read_by_class(tmp_path):
    for split in SPLITS:
        for level, name in enumerate(("dark", "light")):
            folder = tmp_path / "mine" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("L", (30, 20 + number), 200 * level).save(folder / f"{number}.png")
    data = load(tmp_path / "mine", 16)
    assert (data.name, data.classes) == ("mine", ("dark", "light"))
    assert data.train.images.shape == (4, 3, 16, 16)
    levels = data.test.images.float().mean((1, 2, 3))
    assert levels.tolist() == [0, 0, 200, 200]
    assert data.test.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_images": None}, "val_images"),
        ({"test_images": np.zeros((6, 20, 20, 3))}, "its images are float64, not uint8"),
        ({"test_images": np.zeros((6, 20, 20, 4), np.uint8)}, "its images are of shape"),
        ({"train_labels": np.zeros((6, 14))}, "layout"),
        ({"train_labels": np.array([-1] * 6)}, "label -1 in the train split is outside"),
        ({"test_images": np.zeros((6, 0, 20, 3), np.uint8)}, "its images are of shape .6, 0, 20"),
        ({"test_images": np.array(6)}, "its images are int64, not uint8"),
        ({"val_labels": np.array(list("abcdef"))}, "its labels are <U1, not numbers"),
        ({"val_labels": np.array([None] * 6)}, "its labels are object, not numbers"),
        ({"val_labels": np.array([0, 1, 0.2, 1, 1.7, 0])}, "label 0.2 is no whole number"),
        ({"val_labels": np.array([0, 1, 2, 1, np.nan, 0])}, "label nan is no whole number"),
        ({"val_labels": np.array([0, 1, 2, 1, np.inf, 0])}, "label inf is beyond 32,768 classes"),
        ({"val_labels": np.array([0] * 5 + [2**32 - 1])}, "label 4294967295 is beyond 32,768 cl"),
        ({"val_labels": np.full(6, 2**64 - 1, np.uint64)}, "label 18446744073709551615 is beyond"),
    ],
)
def test_a_file_in_another_layout_is_named(tmp_path, change, message):
    arrays = {name: array for name, array in (make_arrays() | change).items() if array is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "mine.npz")


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.float32])
def test_whole_numbers_are_labels_whatever_their_type(tmp_path, kind):
    arrays = make_arrays()
    np.savez(tmp_path / "mine.npz", **arrays | {"val_labels": arrays["val_labels"].astype(kind)})
    assert load(tmp_path / "mine.npz").validation.labels.tolist() == [0, 1, 2, 0, 1, 2]


def write_header(shape, kind="|u1"):
    return b"\x93NUMPY\x01\x00v\x00" + (
        f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    ).encode("latin1")


#: Of the first array of a file: some say they are large, some are, some become it.
BOMBS = {
    "says so": write_header((10**12, 20, 20, 3)),
    "says so, beyond 64 bits": write_header((2**40, 2**20, 2**20, 3)),
    "negative": write_header((-(10**12), 20, 20, 3)),
    "large rows": write_header((6, 20, 20, 3), "|V1000000000"),
    "compressed": write_header((100_000, 20, 20, 3)) + bytes(100_000 * 1200),
    "header": b"\x93NUMPY\x02\x00\x00\x00\x00\x7f" + bytes(2**26),
    "resized": write_header((30_000, 1, 1, 3)) + bytes(90_000),
    "long, resized": write_header((1, 1, 100_000, 3)) + bytes(300_000),
    "grey": write_header((1, 4000, 4000)) + bytes(16_000_000),
}


def write(path, content, first="train_images"):
    """Write a compressed file whose first array is of this content."""
    np.savez_compressed(path, **{k: v for k, v in make_arrays().items() if k != first})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{first}.npy", content)


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(
    tmp_path, monkeypatch, name
):
    free = SimpleNamespace(available=30_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    write(tmp_path / "bomb.npz", BOMBS[name])
    tracemalloc.start()
    reasons = "would take .* GB of memory, and 0.0 GB are free|too short|of shape|not uint8"
    with pytest.raises(InputError, match=rf"bomb.npz .*({reasons})"):
        load(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["says so", "negative"])
def test_so_are_labels(tmp_path, name):
    write(tmp_path / "bomb.npz", BOMBS[name], "val_labels")
    with pytest.raises(InputError, match=r"bomb.npz is not in MedMNIST's layout"):
        load(tmp_path / "bomb.npz")


def damage(name, content):
    """Return the bytes of a file, spoilt."""
    start = content.index(b"train_images.npy") - 30  # of the local header
    table = content.rindex(b"PK\x01\x02", 0, content.rindex(b"train_images.npy"))
    content = bytearray(content)
    if name == "encrypted":
        content[start + 6] |= 1
        content[table + 8] |= 1
    elif name == "a method nobody knows":
        content[start + 8] = content[table + 10] = 99
    else:
        content[start + 70 : start + 170] = b"\xff" * 100
    return bytes(content)


@pytest.mark.parametrize("name", ["encrypted", "a method nobody knows", "not to be unpacked"])
def test_a_damaged_archive_is_named(tmp_path, name):
    np.savez_compressed(tmp_path / "mine.npz", **make_arrays())
    content = damage(name, (tmp_path / "mine.npz").read_bytes())
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"mine.npz is not in MedMNIST's layout \(.+\); it needs"):
        load(tmp_path / "mine.npz")


def test_a_header_that_does_not_parse_is_named(tmp_path):
    write(tmp_path / "mine.npz", b"\x93NUMPY\x01\x00v\x00" + b"'''".ljust(118))
    with pytest.raises(InputError, match=r"mine.npz is not in MedMNIST's layout \(.+\); it needs"):
        load(tmp_path / "mine.npz")


def test_an_error_without_words_is_named_by_its_type(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    np.savez(tmp_path / "mine.npz", **make_arrays())
    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises(InputError, match=r"mine.npz is not in MedMNIST's layout .MemoryError.;"):
        load(tmp_path / "mine.npz")


def test_a_fuzzed_file_is_read_or_refused_in_one_line(tmp_path):
    """Bytes changed, left out or cut off: never another error."""
    rng = np.random.default_rng(0)
    np.savez_compressed(tmp_path / "mine.npz", **make_arrays())
    whole = (tmp_path / "mine.npz").read_bytes()
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=rng.integers(1, 20)):
            content[place] = rng.integers(256)
        start, end = np.sort(rng.integers(len(content), size=2))
        if rng.random() < 0.3:
            del content[start : end if rng.random() < 0.5 else None]
        (tmp_path / "mine.npz").write_bytes(content)
        try:
            load(tmp_path / "mine.npz")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_what_is_no_data_is_named(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(InputError, match="text.npz is not in MedMNIST's layout"):
        load(tmp_path / "text.npz")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(InputError, match="empty.npz is not in MedMNIST's layout"):
        load(tmp_path / "empty.npz")
    (tmp_path / "folder/train").mkdir(parents=True)
    with pytest.raises(InputError, match="train holds no folders of images"):
        load(tmp_path / "folder")
    with pytest.raises(InputError, match="data_source: there is no .*nothing.npz; give a"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="data_source: .*take official, synthetic, or the path"):
        resolve("pathmnist_basic", "smoke", 0, {"data_source": "offical"})


def test_a_set_that_is_embedded_only_is_not_to_be_had_officially():
    with pytest.raises(InputError, match="source is embedded only; take synthetic"):
        load_data("source", "official", "data", 28)
    with pytest.raises(InputError, match="there is no data set 'cats'; there are pathmnist"):
        load_data("cats", "official", "data", 28)
