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
# # Pretraining: supervised
#
# This notebook trains a classifier on other images; the pretrained arms can start from its
# backbone. With the profile `smoke`, it learns from the generated data set *source* in place of
# ImageNet; with real data, from the training images of Pets or PathMNIST. The study itself uses
# published weights and does not run this notebook.
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
batch_size = 256  # the last batch of an epoch is smaller
backbone_lr = 1e-3  # AdamW
head_lr = 1e-3  # AdamW
weight_decay = 1e-6  # AdamW
precision = "float32"  # or "bfloat16": mixed precision, faster on a GPU
keep_epoch = "best"  # by validation accuracy; or "last"
mixup_alpha = 0.0  # lambda ~ Beta(alpha, alpha); 0: no MixUp
augment_probability = 0.4  # for each of horizontal flip, vertical flip, rotation
rotation_degrees = 20  # degrees; drawn from U(-20, 20)

# %%
from helpers import experiment as ex, report, runs

run = runs.begin("pretrain_supervised", globals())

# %%
dataset = "source" if data_source == "synthetic" else dataset
data = ex.load_data(dataset, data_source, data_dir, image_size)
model = ex.make_model(network, run.config.start, data, data_dir, batch_norm, seed)

# %%
training = ex.fit(model, data, **run.config.training, checkpoint=run.checkpoint)
report.plot_history(training.history, run.experiment)

# %%
run.finish(data, model, training).history.tail(1)
