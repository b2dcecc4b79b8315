"""Packages for setuptools, which pyproject.toml cannot name: those that are found, and conf/ as ds2ray/conf."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ds2ray*"]), "ds2ray.conf"],
    package_dir={"ds2ray.conf": "conf"},
    package_data={
        "ds2ray": ["py.typed"],
        "ds2ray.evaluation": ["page.html"],
        "ds2ray.nights": ["page.html"],
        "ds2ray.pages": ["style.css"],
        "ds2ray.training.data_report": ["page.html"],
        "ds2ray.conf": ["**/*.yaml"],
    },
)
