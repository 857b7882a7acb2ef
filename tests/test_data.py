import hashlib
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import medmnist
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from conftest import draw_pets
from helpers import InputError
from helpers.experiment import pets
from helpers.experiment.data import Data, Split, load_data
from helpers.experiment.downloads import digest_file


@pytest.fixture
def pathmnist(served, monkeypatch):
    """A small file in PathMNIST's layout, published under its own checksum at an address here."""
    folder, address = served
    rng = np.random.default_rng(0)
    arrays, counts = {}, {"train": 30, "val": 12, "test": 15}
    for split, count in counts.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.permutation(np.arange(count) % 9)[:, None].astype(np.uint8)
    path = folder / "pathmnist.npz"
    np.savez_compressed(path, **arrays)
    info = medmnist.INFO["pathmnist"]
    monkeypatch.setitem(info, "MD5", digest_file(path, "md5"))
    monkeypatch.setitem(info, "url", f"{address}/pathmnist.npz")
    monkeypatch.setitem(info, "n_samples", counts)
    return path, arrays


def test_pathmnist_is_read_as_it_is(pathmnist):
    path, arrays = pathmnist
    data = load_data("pathmnist", "official", str(path.parent), 28)
    assert (data.name, data.official) == ("pathmnist", True)
    assert data.classes[0] == "adipose"
    assert len(data.classes) == 9
    for split, ours in {"train": data.train, "val": data.validation, "test": data.test}.items():
        expected = arrays[f"{split}_images"].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(ours.images.numpy(), expected)
        np.testing.assert_array_equal(ours.labels.numpy(), arrays[f"{split}_labels"][:, 0])
        assert ours.labels.dtype == torch.int64


def test_pathmnist_is_downloaded_once_and_verified(pathmnist, tmp_path):
    path, _ = pathmnist
    load_data("pathmnist", "official", str(tmp_path / "a folder"), 28)
    path.unlink()  # the address is dead now, and not needed
    load_data("pathmnist", "official", str(tmp_path / "a folder"), 28)
    names = {p.name for p in (tmp_path / "a folder").glob("[!.]*")}
    assert names == {"cache", "pathmnist.npz"}


def test_download_with_a_wrong_checksum_is_refused(pathmnist, tmp_path):
    pathmnist[0].write_bytes(b"something else")
    with pytest.raises(InputError, match=r"cannot get .*pathmnist.npz .*corrupted"):
        load_data("pathmnist", "official", str(tmp_path / "new"), 28)
    assert not list((tmp_path / "new").glob("*.npz"))


def test_without_network_the_error_says_what_to_put_where(pathmnist, tmp_path):
    pathmnist[0].unlink()
    md5 = medmnist.INFO["pathmnist"]["MD5"]
    with pytest.raises(InputError, match=rf"put pathmnist.npz from .* \(MD5 {md5}\) there"):
        load_data("pathmnist", "official", str(tmp_path / "new"), 28)


def test_truncated_npz_is_named(pathmnist):
    path, _ = pathmnist
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"pathmnist.npz is not PathMNIST as published"):
        load_data("pathmnist", "official", str(path.parent), 28)


def test_images_never_get_the_labels_of_another_file(pathmnist):
    """Once they are unpacked, another file in the published one's place changes nothing."""
    path, arrays = pathmnist
    first = load_data("pathmnist", "official", str(path.parent), 28)
    changed = {name: (array + 1) % 9 for name, array in arrays.items() if "labels" in name}
    np.savez_compressed(path, **arrays | changed)
    second = load_data("pathmnist", "official", str(path.parent), 28)
    assert second.summary == first.summary
    np.testing.assert_array_equal(second.test.labels.numpy(), arrays["test_labels"][:, 0])


def test_a_damaged_cache_is_not_made_of_another_file(pathmnist):
    path, arrays = pathmnist
    load_data("pathmnist", "official", str(path.parent), 28)
    (cache,) = (path.parent / "cache").glob("*-train-*[0-9a-f].npy")
    content = bytearray(cache.read_bytes())
    content[2000] ^= 1
    cache.write_bytes(content)
    published = path.read_bytes()
    np.savez_compressed(path, **arrays | {"train_images": arrays["train_images"] ^ 1})
    with pytest.raises(InputError, match="pathmnist.npz is not PathMNIST as published .its MD5"):
        load_data("pathmnist", "official", str(path.parent), 28)
    path.write_bytes(published)
    data = load_data("pathmnist", "official", str(path.parent), 28)
    expected = arrays["train_images"].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.train.images.numpy(), expected)


def test_damage_that_the_checksum_passes_is_named(pathmnist, monkeypatch):
    """As of a disk that loses a bit between the check and the reading."""
    path, _ = pathmnist
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("train_images.npy").header_offset + 100
    content = bytearray(path.read_bytes())
    content[start : start + 400] = b"\xff" * 400
    path.write_bytes(content)
    monkeypatch.setitem(medmnist.INFO["pathmnist"], "MD5", digest_file(path, "md5"))
    with pytest.raises(InputError, match=r"pathmnist.npz is not PathMNIST as published \(Error -3"):
        load_data("pathmnist", "official", str(path.parent), 28)


def test_other_sizes_are_refused():
    with pytest.raises(InputError, match=re.escape("[28, 64, 128, 224] pixels, not 32")):
        load_data("pathmnist", "official", "nowhere", 32)


@pytest.mark.parametrize("label", [-1, 9, 200])
def test_a_label_outside_the_classes_is_named(label):
    good = Split(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 8]))
    bad = Split(good.images, torch.tensor([3, label]))
    with pytest.raises(InputError, match=f"label {label} in the test split is outside the 9"):
        Data("made up", False, tuple("abcdefghi"), good, good, bad)


def test_an_empty_split_is_named():
    good = Split(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="the validation split holds no image"):
        Data("made up", False, ("a", "b"), good, Split(good.images[:0], good.labels[:0]), good)


def test_checksum_covers_every_pixel_and_label(stripes):
    checksums = {stripes.sha256}
    stripes.test.images[-1, -1, -1, -1] += 1
    assert stripes.sha256 in checksums  # computed once
    checksums.add(replace(stripes).sha256)
    stripes.validation.labels[0] += 1
    assert len(checksums | {replace(stripes).sha256}) == 3


def test_pets_are_read_split_and_cached(pets_root):
    data = load_data("pets", "official", str(pets_root), 64)
    assert (data.name, len(data.classes)) == ("pets", 37)
    assert data.official is False  # a part of the set, or drawn
    listed = {
        split: (pets_root / "oxford-iiit-pet/annotations" / f"{split}.txt").read_text().split("\n")
        for split in ("trainval", "test")
    }
    trainval = len(data.train.labels) + len(data.validation.labels)
    assert trainval == len([line for line in listed["trainval"] if line])
    assert len(data.test.labels) == len([line for line in listed["test"] if line])
    assert data.test.images.shape[1:] == (3, 64, 64)

    # The first test image, by hand: shorter side to 64 px, centre square.
    name, label, *_ = listed["test"][0].split()
    picture = Image.open(pets_root / "oxford-iiit-pet/images" / f"{name}.jpg").convert("RGB")
    short = min(picture.size)
    width, height = (int(64 * side / short) for side in picture.size)
    resized = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    top, left = round((height - 64) / 2), round((width - 64) / 2)
    expected = resized[top : top + 64, left : left + 64].transpose(2, 0, 1)
    np.testing.assert_array_equal(data.test.images[0].numpy(), expected)
    assert data.test.labels[0] == int(label) - 1

    again = load_data("pets", "official", str(pets_root), 64)
    assert again.summary == data.summary


def test_pets_validation_is_stratified_and_disjoint(pets_root):
    data = load_data("pets", "official", str(pets_root), 32)
    train, validation = (s.labels.bincount(minlength=37) for s in (data.train, data.validation))
    share = validation / (train + validation)
    assert share.sum() / 37 == pytest.approx(0.2, abs=0.03)
    assert validation.min() >= 1
    rows = torch.cat([data.train.images, data.validation.images]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_truncated_jpeg_is_named(tmp_path):
    draw_pets(tmp_path / "oxford-iiit-pet", each=10)
    victim = sorted((tmp_path / "oxford-iiit-pet/images").glob("*.jpg"))[5]
    victim.write_bytes(victim.read_bytes()[:300])
    with pytest.raises(InputError, match=rf"{victim.name} cannot be decoded .*replace the file"):
        load_data("pets", "official", str(tmp_path), 32)
    assert not list((tmp_path / "cache").glob("pets-test-*.npy"))


def test_missing_image_is_named(tmp_path):
    draw_pets(tmp_path / "oxford-iiit-pet", each=10)
    victim = sorted((tmp_path / "oxford-iiit-pet/images").glob("*.jpg"))[0]
    victim.unlink()
    with pytest.raises(InputError, match=victim.name):
        load_data("pets", "official", str(tmp_path), 32)


@pytest.fixture
def archives(tmp_path, served, monkeypatch):
    """Archives of drawn pets, published under their own checksums at an address here."""
    folder, address = served
    draw_pets(tmp_path / "oxford-iiit-pet", each=10)
    resources = []
    for name in ("images", "annotations"):
        path = shutil.make_archive(str(folder / name), "gztar", tmp_path / "oxford-iiit-pet", name)
        resources.append((f"{address}/{name}.tar.gz", digest_file(Path(path), "md5")))
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
    return folder


def test_pets_are_downloaded_and_unpacked(archives, tmp_path):
    data = load_data("pets", "official", str(tmp_path / "data"), 32)
    assert len(data.test.labels) == 37 * 5


def test_archive_with_a_wrong_checksum_is_refused(archives, tmp_path):
    path = archives / "images.tar.gz"
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(InputError, match=r"cannot get .*oxford-iiit-pet .*corrupted.*unpack"):
        load_data("pets", "official", str(tmp_path / "data"), 32)
    assert not (tmp_path / "data" / "oxford-iiit-pet").exists()


def test_the_published_split_is_recognised(monkeypatch, pets_root):
    """With the digests of what is there as the published ones, the set counts as official."""
    for split in ("trainval", "test"):
        part = torchvision.datasets.OxfordIIITPet(pets_root, split)
        listed = zip(part._images, part._labels, strict=True)
        text = "\n".join(sorted(f"{path.stem} {label}" for path, label in listed))
        digest = hashlib.sha256(text.encode()).hexdigest()
        monkeypatch.setitem(pets.PETS_OFFICIAL, split, digest)
    assert load_data("pets", "official", str(pets_root), 32).official is True


def test_too_few_images_to_split_are_refused(tmp_path):
    draw_pets(tmp_path / "oxford-iiit-pet", each=4)
    with pytest.raises(InputError, match="too few images for a validation split"):
        load_data("pets", "official", str(tmp_path), 32)
