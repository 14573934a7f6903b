"""python -m caterpillar"""

import sys

from caterpillar.cli import main

if __name__ == "__main__":
    sys.exit(main())
