"""The transformers path under `torch.compile`: an option, with its warm-up paid at once and reported.

Compiled is one layer, which all layers share (one of each kind), once for all batches: token counts are symbols, and
attention is one operator that is not looked into. What is left to gain is element-wise work, which matters on a GPU; on
a CPU the fused decoder is faster by far.
"""

import time
from typing import Literal

import torch
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from slimvec.model.attention import HiddenPacking
from slimvec.model.backbone import TransformersBackbone
from slimvec.text.batch import PackedBatch

CompileBackend = Literal["inductor", "aot_eager", "eager"]
_WARM_UP = ((24, 23), (17,), (64, 40, 9, 9, 7))
"""Lengths of the texts that are run first: batches unlike each other, so that nothing is compiled later. 47 tokens are
first, since sizes that are equal by chance (to the width of a head, say) would be taken to be always equal."""


class CompiledBackbone:
    """A transformers backbone, compiled. Inference only.

    Args:
        backbone: Its layers are compiled in place; do not run it by itself any more.
        backend: Backend of `torch.compile`; the two others compile nothing and are for tests.

    Attributes:
        warmup_seconds: What compiling and the first runs took.
    """

    def __init__(self, backbone: TransformersBackbone, *, backend: CompileBackend = "inductor") -> None:
        self._backbone = backbone
        for module in backbone.hf_model.modules():
            if isinstance(module, GradientCheckpointingLayer):  # what transformers' layers have in common
                module.compile(dynamic=True, backend=backend)
        start = time.perf_counter()
        with torch.inference_mode():
            for lengths in _WARM_UP:
                self(PackedBatch.from_sequences([[0] * length for length in lengths])).cpu()
        self.warmup_seconds = time.perf_counter() - start

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Give the states [T, H] of a batch.

        A batch of a single token is run as it is: `torch.compile` compiles sizes of 1 on their own.
        """
        backbone, batch = self._backbone, batch.to(self._backbone.device)
        with torch.compiler.set_stance("default" if batch.num_tokens > 1 else "force_eager"):
            output = backbone.hf_model(
                input_ids=batch.input_ids[None],
                position_ids=backbone.positions(batch)[None],
                use_cache=False,
                packing=HiddenPacking.of(batch, backbone.mode),
            )
        states: Tensor = output.last_hidden_state[0]
        return states
