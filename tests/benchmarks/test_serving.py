"""The clients of the load benchmark lose no request and count what is wrong; limits that were missed are named."""

import asyncio
import base64
import threading

import numpy as np
import orjson
import pytest

from benchmarks.server_load import BadAnswerError, Texts, count_wrong, make_requests, put_under_load
from benchmarks.serving import Load, failures, growth, table

VECTORS = np.eye(8, dtype=np.float32)


@pytest.fixture
def texts():
    numbers = [str(number) for number in range(8)]
    tokens = {role: [3] * 8 for role in ("query", "document")}
    return Texts(numbers, {"query": "ask: ", "document": ""}, tokens, dict.fromkeys(tokens, VECTORS))


def answer(request, *, shift=0):
    rows = [
        {"index": place, "embedding": base64.b64encode(VECTORS[(int(text[-1]) + shift) % 8].tobytes()).decode()}
        for place, text in enumerate(orjson.loads(request)["input"])
    ]
    return 200, orjson.dumps({"data": rows[::-1]})


@pytest.fixture
def served():
    """Run a server that answers each request as a function says; None breaks the connection."""
    loop, started, ports = asyncio.new_event_loop(), threading.Event(), []
    acts = []

    async def talk(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                found = acts[0](await reader.readexactly(length))
                if found is None:
                    break
                head = f"HTTP/1.1 {found[0]} x\r\nRetry-After: 0\r\nContent-Length: {len(found[1])}\r\n\r\n"
                writer.write(head.encode() + found[1])
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            await writer.wait_closed()

    async def run():
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        started.set()
        async with server:
            await server.serve_forever()

    def work():
        asyncio.set_event_loop(loop)
        task = loop.create_task(run())
        loop.run_forever()
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    yield ports[0], acts
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_refused_and_broken_requests_are_asked_again(served, texts):
    port, acts = served
    calls = []

    def act(request):
        calls.append(request)
        return {1: (429, b""), 3: None}.get(len(calls) % 5, answer(request))

    acts.append(act)
    requests = make_requests(texts, "prompt")
    seen = put_under_load(port, requests, clients=4, seconds=0.1)
    assert len(seen.answers) == len(seen.seconds) == len(calls) - seen.refused - seen.broken
    assert seen.refused
    assert seen.broken
    assert seen.tokens == sum(requests[number].tokens for number, _ in seen.answers)
    assert count_wrong(seen, requests, texts) == 0
    asked = [text for call in calls for text in orjson.loads(call)["input"]]
    assert {text[:-1] for text in asked} == {"ask: ", ""}


def test_vectors_of_other_texts_are_counted(served, texts):
    port, acts = served
    acts.append(lambda request: answer(request, shift=1))
    requests = make_requests(texts, "input_type")
    seen = put_under_load(port, requests, clients=1, seconds=0.05)
    assert count_wrong(seen, requests, texts) == sum(len(requests[number].numbers) for number, _ in seen.answers)


def test_another_error_ends_the_load_with_its_text(served, texts):
    port, acts = served
    acts.append(lambda _: (500, b"what happened"))
    with pytest.raises(BadAnswerError, match="500: what happened"):
        put_under_load(port, make_requests(texts, "prompt"), clients=2, seconds=1)


def load(**changes):
    known = {
        "server": "slimvec", "what": "load", "clients": 64, "seconds": 1, "requests": 1, "refused": 0, "wrong": 0,
        "tokens_per_second": 95, "offline_tokens_per_second": 100, "share": 0.95, "cpu_share": 0.9, "p50_seconds": 1,
        "p99_seconds": 1, "client_cpu": 0, "memory_mb": (1, 1), "memory_growth": 0.0,
    }  # fmt: skip
    return Load(**{**known, **changes})


def test_missed_limits_are_named():
    fine = [
        load(),
        load(clients=1, share=0.5),
        load(server="infinity", share=0.1, wrong=3),
        load(what="overload", refused=2),
    ]
    assert failures(fine) == []
    missed = [load(share=0.89), load(wrong=1), load(what="overload"), load(what="endurance", memory_growth=0.02)]
    assert failures(missed) == [
        "load of 64 clients: 89.0% of the engine's throughput",
        "load of 64 clients: 1 wrong vectors",
        "overload of 64 clients: nothing was refused",
        "endurance of 64 clients: memory grew by 2.0%",
    ]


def test_the_table_has_a_row_a_load():
    _, _, row = table([load(refused=1234)]).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:6] == ["slimvec", "load", "64", "95", "95% (90% by processor time)", "1.00 s"]
    assert cells[6:] == ["1.00 s", "1,234", "0", "1 MiB (+0.0%)"]


def test_growth_is_counted_behind_the_first_quarter():
    warming = [10.0 * number for number in range(1, 11)]
    assert growth(warming + [100.0] * 30) == 0
    assert growth([100.0] * 20 + [100.0 + number for number in range(20)]) == pytest.approx(0.175)
