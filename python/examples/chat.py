"""A conversation on the terminal: python python/examples/chat.py models/demo"""

import sys

import g3n


def main(model: str = "models/demo") -> None:
    with g3n.Engine(model) as engine, engine.chat() as session:
        for line in sys.stdin:
            for piece in session.stream(line.strip(), temperature=0):
                print(piece, end="", flush=True)
            print()


if __name__ == "__main__":
    main(*sys.argv[1:])
