"""optcli, the command-line optimizer: a formula in, its minimum and the truth about that minimum out."""

__version__ = "0.1.0"
