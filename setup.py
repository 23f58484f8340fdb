"""Package build that includes the folders `conf` and `sweeps`; everything else is in pyproject.toml.

The package finder of setuptools only finds packages below their usual folder. In a checkout these two folders are at
the top level, where users edit them. In an installation they are `usaggr/conf` and `usaggr/sweeps`, and
`usaggr/config/folders.py` finds both. An editable installation reads the checkout and needs neither.
"""

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

CONFIGURATION_FOLDERS = ("conf", "sweeps")


class BuildWithConfiguration(build_py):
    """Command `build_py` that adds the two folders of configuration files to the packages."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if not self.editable_mode:
            for folder in CONFIGURATION_FOLDERS:
                inner = (f"{folder}.{package}" for package in find_namespace_packages(folder))
                self.packages = [*self.packages, *(f"usaggr.{package}" for package in (folder, *inner))]


setup(cmdclass={"build_py": BuildWithConfiguration})
