"""`python -m rawdrift` is the command `rawdrift`."""

import sys

from rawdrift.cli import main

if __name__ == "__main__":
    sys.exit(main())
