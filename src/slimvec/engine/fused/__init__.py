"""The fused packed decoder: one QKV product, one gate-up product, everything else in as few passes as possible."""

from slimvec.engine.fused.decoder import FusedDecoder
from slimvec.engine.fused.errors import UnsupportedError
from slimvec.engine.fused.keys_values import KeyValues

__all__ = ["FusedDecoder", "KeyValues", "UnsupportedError"]
