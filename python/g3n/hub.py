"""Where Hugging Face keeps what it has fetched. Nothing is fetched here."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folders(cache_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """The folders that hold models--org--name, as huggingface_hub finds them."""
    if cache_dir is not None:
        return [os.fspath(cache_dir)]
    if folder := os.environ.get("HF_HUB_CACHE"):
        return [os.path.expanduser(folder)]
    if home := os.environ.get("HF_HOME"):
        return [os.path.join(os.path.expanduser(home), "hub")]
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return [os.path.join(caches, "huggingface", "hub")]


def ollama_folders() -> list[str]:
    """The folders in which ollama keeps its models."""
    if folder := os.environ.get("OLLAMA_MODELS"):
        return [os.path.expanduser(folder)]
    return [str(Path.home() / ".ollama" / "models"), "/usr/share/ollama/.ollama/models"]
