"""`python -m fairway` is the command line."""

import sys

from fairway.cli.main import main

sys.exit(main())
