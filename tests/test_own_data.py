"""Own data: a file in MedMNIST's layout, or folders of images."""

import numpy as np
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
    ],
)
def test_a_file_in_another_layout_is_named(tmp_path, change, message):
    arrays = {name: array for name, array in (make_arrays() | change).items() if array is not None}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "mine.npz")


def test_what_is_no_data_is_named(tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(InputError, match="text.npz is not in MedMNIST's layout"):
        load(tmp_path / "text.npz")
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
