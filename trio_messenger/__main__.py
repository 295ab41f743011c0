"""``python -m trio_messenger``: the same as the ``trio-messenger`` command."""

import sys

from ._cli import main

sys.exit(main())
