import sys

from rawdrift.cli import main

sys.exit(main())
