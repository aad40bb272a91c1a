"""Configuration: what flags, environment, files and keywords ask for, read strictly and merged into one `Config`."""

from optcli.config.bounds import Bound
from optcli.config.layers import (
    Config,
    Given,
    Layer,
    from_environment,
    from_flags,
    from_keywords,
    from_run,
    from_table,
    load,
    resolve,
)
from optcli.config.paths import safe_output
from optcli.config.points import StartEntry
from optcli.config.settings import CONFIG_KEYS, SETTINGS, Setting
from optcli.data import DataFile

__all__ = [
    "CONFIG_KEYS",
    "SETTINGS",
    "Bound",
    "Config",
    "DataFile",
    "Given",
    "Layer",
    "Setting",
    "StartEntry",
    "from_environment",
    "from_flags",
    "from_keywords",
    "from_run",
    "from_table",
    "load",
    "resolve",
    "safe_output",
]
