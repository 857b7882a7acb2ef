"""The embedded data: the same everywhere, and neither trivial nor hopeless."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import InputError
from helpers.experiment import synthetic

NAMES = ("tissue", "creatures", "source")
SPLITS = ("train", "validation", "test")
SHA256 = {
    ("tissue", "train"): "c7a4a3edde16ad5177e3136d82b388e0b7696c4a2bbefba6ef43e128acb47698",
    ("tissue", "validation"): "45b0d10a1d166a49d59e239cc314658a8a4b6b8cfad65f89cdb0eefbd2a0d7ac",
    ("tissue", "test"): "3ec1e4c3048d2d211cb60feead971040a540b1ab45e0782a046740a406366e78",
    ("creatures", "train"): "53bbb01b1e6d79e79ffd621db2bead4c0684cbf1b0edc77ce11b8b80dcb4008d",
    ("creatures", "validation"): "266a29051c585db704ebfb2c70d8428d9d392d32fbf66c933918eefcd6bbdd75",
    ("creatures", "test"): "e2b7b17a1537b61918481ab1cda8b3f79371436142400f8fa646dd6bfda5f243",
    ("source", "train"): "afd781a43fd8db5d663adf693f0ed4a72b368b07aa923f4ec4fb32941a4e4a48",
    ("source", "validation"): "563a234c84d7b95e86cc9e1e5992d7695cac63cf8257c3663ade4f4d70cf2296",
    ("source", "test"): "4a13963ba38cde3d8b9db538acee1940c519b4ba517c974de79d8d13485b31d9",
}

PRINT_HASHES = """
import hashlib
from helpers.experiment.synthetic import generate
for name in ("tissue", "creatures", "source"):
    for split, (images, labels) in generate(name).items():
        print(name, split, hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def sets():
    return {name: synthetic.generate(name) for name in NAMES}


def digest(split):
    images, labels = split
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def linear_accuracy(data, describe):
    """Accuracy on test of logistic regression on a description of each image."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(describe(data["train"][0]), data["train"][1])
    return model.score(describe(data["test"][0]), data["test"][1])


def describe_mean(images):
    return images.mean((2, 3))


def describe_corners(images):
    return images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].reshape(len(images), -1)


def describe_texture(images):
    """Spread of the colours and of the differences between pixels 1, 2 and 4 apart."""
    images = images.astype(np.float64)
    parts = [images.mean((2, 3)), images.std((2, 3))]
    for step in (1, 2, 4):
        parts.append(np.abs(images[..., step:, :] - images[..., :-step, :]).mean((2, 3)))
        parts.append(np.abs(images[..., step:] - images[..., :-step]).mean((2, 3)))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", SPLITS)
def test_arrays_are_pinned(sets, name, split):
    assert digest(sets[name][split]) == SHA256[name, split]


def test_arrays_do_not_depend_on_process_threads_or_vector_unit(sets):
    # Without the processor's wide vectors numpy computes cosines and exponentials by other code.
    optional = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    environment = os.environ | {
        "OMP_NUM_THREADS": "3",
        "PYTHONHASHSEED": "7",
        "NPY_DISABLE_CPU_FEATURES": " ".join(optional),
    }
    run = subprocess.run(
        [sys.executable, "-c", PRINT_HASHES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split() for line in run.stdout.splitlines()]
    assert len(lines) == len(NAMES) * len(SPLITS)
    for name, split, found in lines:
        assert found == digest(sets[name][split])


def test_arrays_do_not_depend_on_earlier_calls(sets):
    np.random.seed(3)  # noqa: NPY002 - the global stream must not matter
    again = synthetic.generate("tissue")
    assert {split: digest(again[split]) for split in SPLITS} == {
        split: digest(sets["tissue"][split]) for split in SPLITS
    }


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_classes(sets, name):
    classes = synthetic.CLASSES[name]
    assert len(set(classes)) == len(classes)
    assert tuple(sets[name]) == SPLITS
    for split, (images, labels) in sets[name].items():
        assert images.shape == (synthetic.SIZES[name][split], 3, 28, 28)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        assert images.flags.c_contiguous
        counts = np.bincount(labels, minlength=len(classes))
        assert len(counts) == len(classes)
        assert counts.min() >= 1
        assert counts.max() <= 4 * counts.min()
        # Not in the order of the classes: the first tenth holds many of them.
        assert len(set(labels[: len(labels) // 10])) > min(len(classes), len(labels) // 10) / 3


def test_the_classes_are_those_of_the_real_sets():
    assert synthetic.CLASSES["tissue"] == (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    )
    assert len(synthetic.CLASSES["creatures"]) == 12 + 25
    known = {name for key in ("tissue", "creatures") for name in synthetic.CLASSES[key]}
    assert not known & set(synthetic.CLASSES["source"])


@pytest.mark.parametrize("name", NAMES)
def test_no_image_twice(sets, name):
    images = np.concatenate([sets[name][split][0] for split in SPLITS])
    distinct = {image.tobytes() for image in images}
    assert len(distinct) == len(images)


@pytest.mark.parametrize("name", NAMES)
def test_images_use_the_grey_levels_without_clipping_many(sets, name):
    images = sets[name]["train"][0]
    assert images.min() < 30
    assert images.max() > 240
    assert np.isin(images, (0, 255)).mean() < 0.02


@pytest.mark.parametrize(("name", "bound"), [("tissue", 0.45), ("creatures", 0.15)])
def test_mean_colour_does_not_tell_the_class(sets, name, bound):
    assert linear_accuracy(sets[name], describe_mean) < bound


@pytest.mark.parametrize(("name", "bound"), [("tissue", 0.40), ("creatures", 0.10)])
def test_corner_pixels_do_not_tell_the_class(sets, name, bound):
    assert linear_accuracy(sets[name], describe_corners) < bound


def test_texture_tells_tissue_apart(sets):
    assert linear_accuracy(sets["tissue"], describe_texture) > 0.7


def test_pixels_tell_creatures_far_above_chance(sets):
    (images, labels), (test_images, test_labels) = (sets["creatures"][k] for k in ("train", "test"))
    model = KNeighborsClassifier(5).fit(images.reshape(len(images), -1) / 255, labels)
    accuracy = model.score(test_images.reshape(len(test_images), -1) / 255, test_labels)
    assert 0.2 < accuracy < 0.6


def test_the_test_centre_of_tissue_has_other_stains(sets):
    # Optical density of green against blue: amounts of stain cancel, the dyes remain.
    ratio = {}
    for split in SPLITS:
        density = -np.log((sets["tissue"][split][0].mean((2, 3)) + 1) / 256)
        ratio[split] = density[:, 2].mean() / density[:, 1].mean()
    assert abs(ratio["validation"] / ratio["train"] - 1) < 0.05
    assert ratio["test"] / ratio["train"] > 1.1


@pytest.mark.parametrize("name", NAMES)
def test_another_size_is_the_same_picture(monkeypatch, name):
    monkeypatch.setitem(synthetic.SIZES, name, dict.fromkeys(SPLITS, 80))
    images, labels = synthetic.generate(name)["validation"]
    large_images, large_labels = synthetic.generate(name, 56)["validation"]
    assert large_images.shape == (80, 3, 56, 56)
    assert np.array_equal(large_labels, labels)
    halved = large_images.reshape(80, 3, 28, 2, 28, 2).mean((3, 5))
    difference = np.abs(halved - images).mean()
    unrelated = np.abs(halved - np.roll(images, 1, axis=0)).mean()
    assert difference < 0.4 * unrelated


def test_unknown_name_is_refused():
    with pytest.raises(InputError, match=r"'birds'.*tissue, creatures, source"):
        synthetic.generate("birds")


def test_too_small_an_image_is_refused():
    with pytest.raises(InputError, match="image_size 8"):
        synthetic.generate("tissue", 8)
