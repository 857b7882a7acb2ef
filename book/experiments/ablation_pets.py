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
# # Pets: do the open choices matter?
#
# Each switch takes the recipe of one arm from the record of that arm's run, changes one choice to
# another that would be as reasonable, and trains and tests again with the same seed. The record is
# compared with the arm's own, image by image, on the page "Register of open choices", which also
# says why this project chose as it did.

# %% tags=["parameters"]
seed = 0  # of the runs to compare with
results = "results/paper"  # folder of this profile's records, those of the arms too
data_dir = "data"  # folder of the data sets and published weights
# The readings of each choice; one that an arm has already is left out.
switches = [
    {"experiment": "pets_scratch", "backbone_lr": 5e-4, "head_lr": 5e-4},
    {"experiment": "pets_supervised", "batch_norm": "affine_frozen"},
    {"experiment": "pets_supervised", "mixup_alpha": 1.0},
]

# %%
from helpers import experiment as ex, report, runs

ablation = runs.begin_ablation("ablation_pets", globals())
data = ex.load_data("pets", **ablation.data_parameters)

# %%
for variant in ablation.vary(data):
    r = variant.recipe
    model = ex.make_model(r.network, r.start, data, data_dir, r.batch_norm, seed)
    augmentation = ex.Augmentation(r.augment_probability, r.rotation_degrees, r.mixup_alpha)
    training = ex.fit(model, data, augmentation, **r.training, checkpoint=ablation.checkpoint)
    ablation.add(variant, model, training, ex.evaluate(model, data, r.corruptions))

# %%
report.show_metrics(ablation.finish(data))
