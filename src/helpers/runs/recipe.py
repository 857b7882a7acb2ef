"""Old names, until the second house is done."""

from .config import (  # noqa: F401
    LOCATIONS,
    PRETRAINING as MODELS,
    STARTS,
    Config as TrainingRecipe,
    ExperimentConfig as ExperimentRecipe,
    PretrainingConfig as PretrainingRecipe,
)


class AblationRecipe: ...  # noqa: D101
