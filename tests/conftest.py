"""Fixtures of several rooms: a small data set and a web server on this machine."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests compare bits computed on the CPU

import functools
import http.server
import threading

import pytest
import torch

from helpers.experiment.data import Data, Split

torch.set_num_threads(1)  # more threads slow the tests down on a busy machine


@pytest.fixture
def stripes() -> Data:
    """Three easy classes of 16 px: horizontal stripes, vertical stripes, noise."""
    generator = torch.Generator().manual_seed(7)
    splits = []
    for count in (96, 30, 30):
        labels = torch.arange(count) % 3
        images = torch.randint(0, 60, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
        images[labels == 0, :, ::4] = 220
        images[labels == 1, :, :, ::4] = 220
        splits.append(Split(images, labels))
    return Data("stripes", False, ("horizontal", "vertical", "noise"), *splits)


@pytest.fixture
def served(tmp_path):
    """A folder, and the address on this machine under which its files can be downloaded."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
