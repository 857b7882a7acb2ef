"""Old name, until the second house is done."""

from .barlow_twins import fit_barlow_twins

__all__ = ["fit_barlow_twins"]
