"""Old name of `html_figures`; until the second house is done."""

from .html_figures import (
    HEAVIEST,
    INK,
    SMALL,
    Picture,
    choose_rendering,
    encode_image,
    image_panel,
    plot_panel,
)

__all__ = [
    "HEAVIEST",
    "INK",
    "SMALL",
    "Picture",
    "choose_rendering",
    "encode_image",
    "image_panel",
    "plot_panel",
]
