"""Calls into the library, and its refusals as errors; Ctrl-C ends a long one within a layer."""

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

import torch

from slimvec.engine.kernels.interface import DONE, INTERRUPTED, BatchOf, ModelOf
from slimvec.engine.kernels.library import Kernels, Library, Target

_Call = TypeVar("_Call", bound=ctypes.Structure)

_LONG = 3e9
"""Multiply-adds that take some tenths of a second on one slow core: shorter calls are over before anyone waits."""

_HEAR_SECONDS = 0.5
"""How long a wait lasts before Python looks for signals again."""


def run_kernel(kernels: Kernels, model: ModelOf, batch: BatchOf, work: float, keep: object) -> None:
    """Run a batch on torch's number of threads.

    Python hears signals on the main thread, between its own instructions. So a long call from there runs on a thread
    beside it while the main thread waits, and what a signal raises there ends the call before the next layer.

    Args:
        kernels: What runs it.
        model: Weights.
        batch: Texts, and room for the results.
        work: Multiply-adds, about.
        keep: Holds all tensors of model and batch; whatever happens here, they are there as long as the call runs.

    Raises:
        RuntimeError: what is handed over does not fit, or there is no memory for it; with the library's words.
    """
    stop = ctypes.c_int32(0)
    batch.stop = ctypes.pointer(stop)
    threads = torch.get_num_threads()
    if work < _LONG or threading.current_thread() is not threading.main_thread():
        _decode(kernels, model, batch, threads)
        return
    done: Future[None] = Future()

    def call(_: object = keep) -> None:
        try:
            _decode(kernels, model, batch, threads)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    worker = threading.Thread(target=call, name="slimvec-kernels", daemon=True)
    try:
        worker.start()  # waits until the thread runs: a signal may end that wait too
        # A signal that comes just before the wait does not wake it; Python hears of it when the wait ends.
        while not wait([done], timeout=_HEAR_SECONDS).done:
            pass
        done.result()
    finally:
        stop.value = 1  # heard only where a wait was cut short, also by a call that has not begun yet
        if worker.is_alive():
            worker.join()


def run_operation(
    kernels: Kernels, operation: Callable[[Library, Target, _Call, int], tuple[int, str]], call: _Call
) -> None:
    """Run an operation of the library on as many threads as torch has.

    Args:
        kernels: What runs it.
        operation: As `Library.run_rows`.
        call: What it is handed; its tensors are kept by the caller.

    Raises:
        RuntimeError: what is handed over does not fit, or there is no memory for it; with the library's words.
    """
    status, said = operation(*kernels.loaded(), call, torch.get_num_threads())
    if status != DONE:
        raise RuntimeError(said)


def _decode(kernels: Kernels, model: ModelOf, batch: BatchOf, threads: int) -> None:
    library, target = kernels.loaded()
    status, said = library.decode(target, model, batch, threads)
    if status not in (DONE, INTERRUPTED):
        raise RuntimeError(said)
