"""Makes ``python -m nas.cli`` work."""

import sys

from nas.cli import main

sys.exit(main())
