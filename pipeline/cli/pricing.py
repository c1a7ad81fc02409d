"""The price table that comes with the package."""

from importlib.resources import files as package_files

from pipeline.prices import PriceTable


def shipped() -> PriceTable:
    return PriceTable.parse(package_files("pipeline").joinpath("prices.toml").read_text("utf-8"))
