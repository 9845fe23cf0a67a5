"""What reranking costs: `python -m benchmarks.rerank_speed`, 20 documents of 128 tokens by likelihood.

Processor seconds beside those on the clock: on a machine that does other things too, the former are what compares. A
machine that is free takes as many seconds, divided by the cores it uses.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import Machine, this_machine
from benchmarks.results import Frozen, write_json
from slimvec.data.retrieval_files import read_retrieval_set
from slimvec.engine.embedder import Embedder
from slimvec.engine.likelihood import Likelihoods

_ROOM = 1 << 30


class Cost(Frozen):
    """A way to rerank.

    Attributes:
        what: In words.
        document_tokens: Where documents are cut.
        num_computed: Tokens run.
        processor_seconds: Time on all cores together; the median of the queries.
        clock_seconds: With whatever else the machine did.
    """

    what: str
    document_tokens: int
    num_computed: int
    processor_seconds: float
    clock_seconds: float


class RerankSpeed(Frozen):
    """All ways on one machine.

    Attributes:
        machine: What it is.
        model: Name.
        engine: What ran it.
        threads: Threads of torch.
        num_documents: Reranked at once.
        costs: What each way takes.
    """

    machine: Machine
    model: str
    engine: str
    threads: int
    num_documents: int
    costs: tuple[Cost, ...]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A retrieval set with documents of over 128 tokens.")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/rerank-speed.json"))
    options = parser.parse_args()
    found = read_retrieval_set(options.data)
    texts = [one.content for one in found.documents if len(one.content) > 1000][: options.documents]
    queries = [query.text for query in found.queries[:4]]
    embedder = Embedder.load(options.model)
    language = embedder.language_model

    def ask(query: str, tokens: int) -> Likelihoods:
        return language.log_likelihood([query], texts, max_document_tokens=tokens)

    ask(queries[0], 16)
    costs = [_measure("every document run", tokens, queries[1:], partial(ask, tokens=tokens)) for tokens in (32, 128)]
    language.keep_documents(_ROOM)
    ask(queries[0], 128)
    costs.append(_measure("documents' states kept", 128, queries[1:], partial(ask, tokens=128)))
    result = RerankSpeed(
        machine=this_machine(),
        model=options.model,
        engine=f"{embedder.engine} {embedder.engine_isa}".strip(),
        threads=torch.get_num_threads(),
        num_documents=len(texts),
        costs=tuple(costs),
    )
    write_json(result, options.output)
    for cost in costs:
        print(cost)


def _measure(what: str, tokens: int, queries: list[str], ask: Callable[[str], Likelihoods]) -> Cost:
    """Ask a few queries in turn."""
    seen = []
    for query in queries:
        processor, clock = time.process_time(), time.perf_counter()
        computed = ask(query).num_computed
        seen.append((time.process_time() - processor, time.perf_counter() - clock, computed))
    processor, clock, computed = sorted(seen)[len(seen) // 2]
    return Cost(
        what=what,
        document_tokens=tokens,
        num_computed=computed,
        processor_seconds=round(processor, 2),
        clock_seconds=round(clock, 2),
    )


if __name__ == "__main__":
    main()
