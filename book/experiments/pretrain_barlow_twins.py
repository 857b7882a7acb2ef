# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pretraining: Barlow Twins
#
# This notebook trains a backbone without labels: the embeddings of two augmented views of an image
# should agree in every dimension, and different dimensions should not be redundant. With the
# profile `smoke`, it learns from the generated data set *source* in place of ImageNet; with real
# data, from the training images of Pets or PathMNIST. The study itself uses published weights and
# does not run this notebook.
#
# ## Configuration

# %% tags=["parameters"]
seed = 0  # for weights, order and augmentation
results = "results/paper"  # folder of the records of this profile
data_dir = "data"  # folder of the data sets and published weights
data_source = "official"  # or "synthetic": the drawn set *source*
dataset = "pets"  # or "pathmnist": the training images to learn from
image_size = 224  # pixels
network = "resnet50"
initialisation = "random"  # or imagenet, barlow_twins, the path of a checkpoint
stand_in_weights = {}  # checkpoints below results that replace published weights: {name: path}
batch_norm = "train"  # or frozen, affine_frozen
pretraining_epochs = 100
twins_batch_size = 256  # large, since the cross-correlation is taken over a batch
lr = 1e-3  # AdamW
weight_decay = 1e-6  # AdamW
precision = "float32"  # or "bfloat16": mixed precision, faster on a GPU
projector = [8192, 8192, 8192]  # widths of the projector's layers
off_diagonal_weight = 0.0051  # gamma of the loss; lambda in its paper

# %%
from helpers import experiment as ex, report, runs

run = runs.begin("pretrain_barlow_twins", globals())

# %%
dataset = "source" if data_source == "synthetic" else dataset
data = ex.load_data(dataset, data_source, data_dir, image_size)
model = ex.make_model(network, run.config.start, data, data_dir, batch_norm, seed)

# %%
loss = {"projector": projector, "off_diagonal_weight": off_diagonal_weight}
steps = {"epochs": pretraining_epochs, "batch_size": twins_batch_size}
rates = {"lr": lr, "weight_decay": weight_decay, "precision": precision}
rest = {"seed": seed, "checkpoint": run.checkpoint}
training = ex.fit_barlow_twins(model, data, **loss, **steps, **rates, **rest)
report.plot_history(training.history, run.experiment)

# %%
run.finish(data, model, training).history.tail(1)
