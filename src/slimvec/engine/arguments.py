"""What is asked of an embedder, checked where it comes in: a wrong kind of value is an error in one line."""

from collections.abc import Collection, Iterable, Mapping, Set

import torch

from slimvec.errors import InputError


def check_texts(texts: object) -> None:
    """Refuse what is no row of texts, though Python would go through it: one string, bytes, a set, a mapping.

    Raises:
        InputError: always then.
    """
    if isinstance(texts, str):
        raise InputError("one string", expected="a list of texts", do="write [text]")
    if isinstance(texts, bytes | bytearray | Mapping | Set) or not isinstance(texts, Iterable):
        raise InputError(f"texts of type {type(texts).__name__}", expected="a list of texts, or texts in some order")


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is none of those there are.

    Raises:
        InputError: always then.
    """
    if value not in choices:
        raise InputError(f"{name} {value!r}", expected=f"one of {', '.join(choices)}")


def chosen_device(name: str | None) -> torch.device:
    """Give the device of a name; default CUDA where there is one, else the CPU.

    Raises:
        InputError: PyTorch knows no such device, or finds none on this machine.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, TypeError) as error:
        raise InputError(f"device {name!r}", expected="a device as PyTorch names it: cpu, cuda, cuda:1") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name!r}, which PyTorch does not find here", expected="cpu, or no device")
    return device
