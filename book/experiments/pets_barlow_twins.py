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
# # Pets: Self-Supervised
#
# ResNet-50 trained on Oxford-IIIT Pets, starting from the Barlow Twins weights of Zbontar et al.
# (2021), with MixUp, flips and rotations: the third row of Tables 5 to 8.
#
# ## Configuration
# The first cell holds the study's values. The cell after it lists the values that the profile of
# this run sets instead.
#
# The paper states the network, the initialisations, the optimiser, the augmentations, the epochs
# and the corruptions. No code for this half was found. Values marked "chosen" are this project's
# choice: those of PathMNIST where they carry over, and the same for all three arms except for the
# learning rates. The page "Register of open choices" gives reasons and alternatives.

# %% tags=["parameters"]
seed = 0  # for weights, order, augmentation and MixUp
results = "results/paper"  # folder of the records of this profile
data_dir = "data"  # folder of the data sets and published weights
data_source = "official"  # or "synthetic" (generated stand-in), or the path of your own data
image_size = 224  # pixels, shorter side resized, centre cropped; chosen: that of the weights
network = "resnet50"
initialisation = "barlow_twins"  # or random, imagenet, the path of a checkpoint
stand_in_weights = {}  # checkpoints below results that replace published weights: {name: path}
batch_norm = "train"  # chosen: as No Pretraining needs it; or frozen, affine_frozen
epochs = 25
batch_size = 64  # chosen: 46 steps per epoch; 256 as on PathMNIST would give 12
backbone_lr = 5e-5  # AdamW, no schedule; chosen: as on PathMNIST
head_lr = 5e-4  # AdamW; chosen: as on PathMNIST
weight_decay = 1e-6  # AdamW; chosen: as on PathMNIST
precision = "float32"  # or "bfloat16": mixed precision, faster on a GPU
keep_epoch = "best"  # by validation accuracy; or "last"
mixup_alpha = 0.3  # lambda ~ Beta(alpha, alpha), one per batch; chosen: as on PathMNIST
second_forward = False  # chosen: MixUp as published; or True, as the PathMNIST code did
augment_probability = 0.4  # for each of horizontal flip, vertical flip, rotation
rotation_degrees = 20  # degrees; drawn from U(-20, 20)
# brightness: factor; blur: sigma of a 5x5 Gaussian, in pixels
corruptions = {"brightness": [0.6, 0.8, 1.2, 1.4], "blur": [0.3, 0.5, 0.7, 0.9]}

# %%
from helpers import experiment as ex, report, runs

run = runs.begin("pets_barlow_twins", globals())

# %% [markdown]
# ## Data and network

# %%
data = ex.load_data("pets", data_source, data_dir, image_size)
model = ex.make_model(network, run.config.start, data, data_dir, batch_norm, seed)

# %% [markdown]
# ## Training
# By default, the weights of the epoch with the highest validation accuracy are kept. Training loss
# and accuracy are measured in evaluation mode, on a fixed clean subset of the training set that is
# as large as the validation set.

# %%
training = ex.fit(model, data, **run.config.training, checkpoint=run.checkpoint)
report.plot_history(training.history, run.experiment)

# %% [markdown]
# ## Test images, clean and corrupted

# %% tags=["images"]
evaluation = ex.evaluate(model, data, corruptions)
report.plot_corruptions(evaluation.examples, data.classes)

# %% [markdown]
# ## Result
# The table shows the accuracy and the RMS calibration error (ten equal-width bins) of this seed
# alone, as fractions. The noise floor is the calibration error that a perfectly calibrated network
# would show by chance: its mean and its 95 % quantile. An error within that quantile cannot be
# distinguished from that of a calibrated network. The tables of the book average over all seeds.

# %%
run.finish(data, model, training, evaluation).metrics
