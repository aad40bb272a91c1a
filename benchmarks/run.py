"""Ratios against peers in one run: `python benchmarks/run.py [ROW …]`; `--write` keeps them in docs/performance.md.

Ours and the peer take turns and medians are compared, so that a noisy machine disturbs both alike. A peer that is not
installed is said to be missing; `pip install '.[bench]'` installs them all, but for a C compiler.
"""

import sys

from harness import main
from rows import ROWS

if __name__ == "__main__":
    sys.exit(main(ROWS, str(__doc__)))
