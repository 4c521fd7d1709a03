"""Arrays of numpy and tensors of torch, side by side: torch is imported only by who has it or asks for it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

_warned: set[str] = set()


def warn_once(name: str, text: str) -> None:
    """One warning per name and process."""
    if name not in _warned:
        _warned.add(name)
        warnings.warn(text, UserWarning, stacklevel=4)


def is_tensor(value: Any) -> bool:
    """Whether it is torch's: whoever has one has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value: Any) -> Any:
    """An array of whatever holds numbers; of a bfloat16 tensor one of float32."""
    import numpy

    if is_tensor(value):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        return numpy.asarray(value)
    return numpy.asarray(value)


def to_torch(value: Any) -> Any:
    """A tensor that shares the array's memory."""
    import numpy
    import torch  # type: ignore[import-not-found,unused-ignore]

    return torch.from_numpy(numpy.ascontiguousarray(value))


def has_torch() -> bool:
    """Whether the caller uses torch."""
    return sys.modules.get("torch") is not None


def like(array: Any, example: Any) -> Any:
    """The array as a tensor if the example is one."""
    return to_torch(array) if is_tensor(example) else array


def convert(values: Any, return_tensors: str | None) -> Any:
    """What a processor gives for return_tensors: None or "auto" lists, "np" arrays, "pt" tensors."""
    kind = None if return_tensors is None else str(getattr(return_tensors, "value", return_tensors))
    if kind in (None, "auto"):
        return values.tolist() if hasattr(values, "tolist") and values.ndim <= 2 and values.dtype.kind in "iub" else list(values)
    if kind == "np":
        return values
    if kind == "pt":
        try:
            return to_torch(values)
        except ImportError:
            raise ImportError('return_tensors="pt" needs torch, which is not installed: use return_tensors="np"') from None
    raise ValueError(f"return_tensors: expected None, 'np' or 'pt', got {return_tensors!r}")


def device_name(device: Any) -> str:
    return str(getattr(device, "type", device)).partition(":")[0]


def check_device(device: Any) -> None:
    """A device that this build lacks is a warning: everything runs on the CPU."""
    if device is None or device in ("cpu", "auto", -1) or device_name(device) in ("cpu", "auto", "meta"):
        return
    if isinstance(device, Mapping):
        if all(str(value) in ("cpu", "auto", "-1") for value in device.values()):
            return
        device = next(value for value in device.values() if str(value) not in ("cpu", "auto", "-1"))
    warn_once("device", f"device {device!r}: this build of g3n has no GPU backend, it runs on the CPU")


class BatchFeature(dict):  # type: ignore[type-arg]
    """What processors give: a dict whose values are attributes, too; ** unpacks it."""

    @property
    def data(self) -> dict[str, Any]:
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"BatchFeature has no {name!r}: it has {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def to(self, *args: Any, **options: Any) -> BatchFeature:
        """Tensors moved to a device or cast (floating ones only); everything else stays as it is. Gives itself."""
        device = options.get("device")
        dtype = options.get("dtype")
        for value in args:
            if isinstance(value, (str, int)) or type(value).__name__ == "device":
                device = value
            else:
                dtype = value
        check_device(device)
        if dtype is not None:
            for name, value in self.items():
                if is_tensor(value) and value.is_floating_point():
                    self[name] = value.to(dtype)
        return self

    def __repr__(self) -> str:
        return f"<BatchFeature {', '.join(f'{name} {_shape(value)}' for name, value in self.items())}>"


def _shape(value: Any) -> str:
    return str(list(value.shape)) if hasattr(value, "shape") else f"list of {len(value)}"


class ModelOutput(dict):  # type: ignore[type-arg]
    """What models give: a dict whose values are attributes; what is None is no item of it."""

    def __init__(self, **values: Any) -> None:
        super().__init__({name: value for name, value in values.items() if value is not None})
        self.__dict__.update(values)

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are there."""
        return tuple(self.values())

    def __getitem__(self, key: Any) -> Any:
        return self.to_tuple()[key] if isinstance(key, (int, slice)) else super().__getitem__(key)

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self)}>"


class GenerateDecoderOnlyOutput(ModelOutput):
    """sequences; scores and logits as tuples of [rows, vocab] per step, if asked for."""


class CausalLMOutput(ModelOutput):
    """logits, and loss if labels were given."""
