"""Synthetic training pairs, written by a language model in the voice of many personas."""

from slimvec.data.synthesis.endpoint import Completion, Endpoint, Prices
from slimvec.data.synthesis.generation import SynthesisReport, SynthesisSettings, synthesize
from slimvec.data.synthesis.personas import Persona, Personas, read_personas

__all__ = [
    "Completion",
    "Endpoint",
    "Persona",
    "Personas",
    "Prices",
    "SynthesisReport",
    "SynthesisSettings",
    "read_personas",
    "synthesize",
]
