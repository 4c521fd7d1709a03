"""The program: `python -m g3n ARGS` and the script `g3n ARGS` become it, with its signals and its exit status."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "g3n")
    try:
        os.execv(program, ["g3n", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"g3n: {program}: expected the program that came with this package: {error.strerror}")


if __name__ == "__main__":
    main()
