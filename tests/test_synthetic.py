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
    ("tissue", "train"): "bd5332307ef9786d7febc5e7afe18330f8f2282ef79b7fbf68b908d7d606a6fc",
    ("tissue", "validation"): "51e5945b8ce5394b708107a97836c0a5b43ac233b1dad293504ebe695c3905bb",
    ("tissue", "test"): "494d908ea1e227548c5c8eb984caba815e0656f298dec55e318cb8f289a385e0",
    ("creatures", "train"): "28e523dc8d2de2b06201dba91b0f02349ac4ebc93148ff0aff05a7b00176914a",
    ("creatures", "validation"): "ed669833d595c9abca1e25a896ed4cedaf06a067708cda5e3f47891bfc27a390",
    ("creatures", "test"): "f18dabb835bfe98466fa08231e37dc20d06249b54337e5e0c87a8fe3229acad0",
    ("source", "train"): "36251316d700d8cb1f69076ef8325ffdce850f818b9dc0add2bd57866e46e165",
    ("source", "validation"): "0fc73e30a34e5d9a5fb8ce314e93e82d3a0eccee70972038a2c604ec6fc928a1",
    ("source", "test"): "28815dc1f147f92e66fe03c493da43b5c2e1336489a9e85550c698d1acd817d6",
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
