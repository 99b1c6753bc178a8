"""``python -m cift``."""

import sys

from cift.commands.main import main

sys.exit(main())
