"""Synthetic training pairs, written by a language model in the voice of many personas."""

from slimvec.data.synthesis.answers import Answer, AnswerCache, Completion, Generator, Prices
from slimvec.data.synthesis.endpoint import Endpoint
from slimvec.data.synthesis.generation import SynthesisReport, SynthesisSettings, synthesize
from slimvec.data.synthesis.tasks import Persona, Personas, read_personas

__all__ = [
    "Answer",
    "AnswerCache",
    "Completion",
    "Endpoint",
    "Generator",
    "Persona",
    "Personas",
    "Prices",
    "SynthesisReport",
    "SynthesisSettings",
    "read_personas",
    "synthesize",
]
