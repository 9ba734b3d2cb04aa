"""``python -m opeslike`` is the ``opeslike`` command."""

import sys

from opeslike.cli import main

sys.exit(main())
