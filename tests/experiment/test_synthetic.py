"""Drawn data sets: the same everywhere, and neither trivial nor hopeless."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.experiment import synthetic

NAMES = ("tissue", "creatures")
SHA256 = {
    "tissue": "7932a574a2845a2f6d4aa2a6d275f2e9feee79940311bb19a1c7a4aaabf3dfb8",
    "creatures": "6cbcd053e6c5ff8470b013c394d5b523e5795ace4b41b612e2416d3c74d7af3c",
}
PRINT_HASHES = """
import hashlib, runpy, sys
generate = runpy.run_path(sys.argv[1])["generate"]  # without torch, which helpers.experiment needs
for name in ("tissue", "creatures"):
    parts = (part.tobytes() for split in generate(name).values() for part in split)
    print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


@pytest.fixture(scope="module")
def sets():
    return {name: synthetic.generate(name) for name in NAMES}


def linear_accuracy(data, describe):
    """Return the test accuracy of logistic regression on a description of each image."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    model.fit(describe(data["train"][0]), data["train"][1])
    return model.score(describe(data["test"][0]), data["test"][1])


def describe_texture(images):
    """Return the spread of the colours, and differences between pixels 1, 2 and 4 apart."""
    images = images.astype(np.float64)
    steps = [images[..., step:] - images[..., :-step] for step in (1, 2, 4)]
    return np.hstack([images.std((2, 3)), *(np.abs(step).mean((2, 3)) for step in steps)])


def test_arrays_are_pinned_and_do_not_depend_on_threads_hashes_or_vector_unit(sets):
    for name, data in sets.items():
        content = b"".join(part.tobytes() for split in data.values() for part in split)
        assert hashlib.sha256(content).hexdigest() == SHA256[name], name
    # Without wide vectors numpy computes cosines and exponentials by other code.
    simd = np.show_config("dicts")["SIMD Extensions"]["found"]
    other = {"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "7"}
    other |= {"NPY_DISABLE_CPU_FEATURES": " ".join(simd)}
    command = [sys.executable, "-c", PRINT_HASHES, synthetic.__file__]
    done = subprocess.run(command, env=os.environ | other, capture_output=True, text=True)
    assert done.stdout.split() == list(SHA256.values()), done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_classes(sets, name):
    classes = synthetic.CLASSES[name]
    assert len(set(classes)) == len(classes) == {"tissue": 9, "creatures": 37}[name]
    for split, (images, labels) in sets[name].items():
        assert images.shape == (synthetic.SIZES[name][split], 3, 28, 28)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        counts = np.bincount(labels, minlength=len(classes))
        assert 1 <= counts.min() <= counts.max() <= 4 * counts.min()
        # Shuffled: the first tenth holds many classes.
        assert len(set(labels[: len(labels) // 10])) > min(len(classes), len(labels) // 10) / 3
        assert len({image.tobytes() for image in images}) == len(images)


def test_texture_tells_the_class_and_mean_colour_and_corners_do_not(sets):
    for name, mean, corner in (("tissue", 0.5, 0.4), ("creatures", 0.2, 0.1)):
        assert linear_accuracy(sets[name], lambda images: images.mean((2, 3))) < mean
        flat = lambda images: images[:, :, ::27, ::27].reshape(len(images), -1)  # noqa: E731
        assert linear_accuracy(sets[name], flat) < corner
    assert linear_accuracy(sets["tissue"], describe_texture) > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_another_size_is_the_same_picture(monkeypatch, name):
    monkeypatch.setitem(synthetic.SIZES, name, {"train": 80})
    images, labels = synthetic.generate(name)["train"]
    large, large_labels = synthetic.generate(name, 56)["train"]
    assert np.array_equal(large_labels, labels)
    halved = large.reshape(80, 3, 28, 2, 28, 2).mean((3, 5))
    unrelated = np.abs(halved - np.roll(images, 1, axis=0)).mean()
    assert np.abs(halved - images).mean() < 0.4 * unrelated
