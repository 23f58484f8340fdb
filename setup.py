"""Put the folders `conf` and `sweeps` into the built package; pyproject.toml says everything else.

The package finder of setuptools looks for packages in their own place only. In a checkout these two folders stand at
the top, where users edit them; in an installation they are `usaggr/conf` and `usaggr/sweeps`, and
`usaggr/config/folders.py` finds both. An editable installation reads the checkout and needs neither.
"""

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

CONFIGURATION_FOLDERS = ("conf", "sweeps")


class BuildWithConfiguration(build_py):
    """`build_py` for the packages that were found and the two folders of configuration files."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.editable_mode:
            for folder in CONFIGURATION_FOLDERS:
                inner = (f"{folder}.{package}" for package in find_namespace_packages(folder))
                self.packages = [*self.packages, *(f"usaggr.{package}" for package in (folder, *inner))]


setup(cmdclass={"build_py": BuildWithConfiguration})
