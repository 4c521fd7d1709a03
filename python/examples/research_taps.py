"""How large the hidden state of each layer is along a prompt: one forward pass, one curve per quarter of the layers.

    python python/examples/research_taps.py models/demo norms.png
"""

import sys

import numpy as np

import g3n


def layer_norms(engine: g3n.Engine, prompt: str) -> "np.ndarray":
    """[layers, tokens]: the root mean square of each layer's output (its active stream) at each token."""
    taps = engine.forward(prompt, taps=["text.layer.*.out"]).taps
    layers = sorted(taps, key=lambda name: int(name.split(".")[2]))
    return np.stack([rms(taps[name]) for name in layers])


def rms(streams: "np.ndarray") -> "np.ndarray":
    active = streams[0].astype(np.float64)  # of [streams, tokens, hidden]
    return np.asarray(np.sqrt((active**2).mean(axis=-1)))


def main(model: str = "models/demo", picture: str = "norms.png", prompt: str = "The sky is wide today.") -> None:
    with g3n.Engine(model) as engine:
        norms = layer_norms(engine, prompt)
        pieces = [engine.tokenizer.piece(id) for id in engine.tokenizer.encode(prompt)]
    print(f"{norms.shape[0]} layers, {norms.shape[1]} tokens; the last layer: {norms[-1].mean():.3f}")

    import matplotlib  # only here: the package does not need it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    for layer in range(0, len(norms), max(len(norms) // 4, 1)):
        axes.plot(norms[layer], marker="o", label=f"layer {layer}")
    axes.set_xticks(range(len(pieces)), pieces, rotation=45)
    axes.set_ylabel("rms of the hidden state")
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
