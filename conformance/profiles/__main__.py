"""The hooks of a profile: `python -m conformance.profiles start|stop|kill|restart|flush DIR`."""

import sys
from pathlib import Path

from conformance.profiles import ProfileError, do

if __name__ == "__main__":
    try:
        sys.exit(do(sys.argv[1], Path(sys.argv[2])))
    except ProfileError as error:
        sys.exit(str(error))
