import asyncio
import json
import random
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slimvec.data.readers import read_records
from slimvec.data.synthesis import Completion, Endpoint, Prices, SynthesisSettings, read_personas, synthesize
from slimvec.data.synthesis.tasks import Assignment
from slimvec.data.synthesis.validation import AnswerError, parse_instruction, parse_sample
from slimvec.errors import FetchError, InputError

WORDS = ["museum", "garden", "river", "letter", "winter", "station", "market", "bridge", "kitchen", "harbour"]
GERMAN = "Das Museum öffnet um neun Uhr und ist montags leider immer geschlossen."


def prose(draw, num_words):
    # Numbers, so that no two texts have runs of words in common.
    return "The people of " + " and ".join(f"the {draw.choice(WORDS)} {draw.randrange(999)}" for _ in range(num_words))


def honest_answer(request):
    """What a good model would say: the same for the same request."""
    asked = request["messages"][1]["content"]
    draw = random.Random(json.dumps(request, sort_keys=True))
    if '{"instruction"' in asked:
        return json.dumps({"instruction": f"Given a {draw.choice(WORDS)}, find a {draw.choice(WORDS)} that fits it"})
    long_query, long_answer = (
        ("is a text of 80" in asked),
        ("is a document" in asked or "is another text of 80" in asked),
    )
    return json.dumps(
        {
            "query": prose(draw, 40 if long_query else 8),
            "positive": prose(draw, 40 if long_answer else 9),
            "negative": prose(draw, 40 if long_answer else 10),
        }
    )


class Server:
    """An endpoint on this machine that misbehaves as told.

    Attributes:
        misbehave: Given the number of the request, says what to do instead of answering well: a status,
            `("text", answer)`, `("body", raw body)` or `("sleep", seconds)`; None for nothing.
    """

    def __init__(self):
        self.requests, self.misbehave, self.most_at_once = [], lambda _: None, 0
        self.headers = []
        server, lock = self, threading.Lock()
        self._open = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    server._open += 1
                    server.most_at_once = max(server.most_at_once, server._open)
                    number = len(server.requests)
                    server.requests.append(request)
                    server.headers.append({name.lower(): value for name, value in self.headers.items()})
                try:
                    self.answer(server.misbehave(number), request)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client gave up waiting, which is the point of some tests
                finally:
                    with lock:
                        server._open -= 1

            def answer(self, instead, request):
                status, text = 200, honest_answer(request)
                if isinstance(instead, int):
                    status = instead
                elif instead and instead[0] == "sleep":
                    time.sleep(instead[1])
                elif instead and instead[0] == "text":
                    text = instead[1]
                usage = {"prompt_tokens": 100, "completion_tokens": 50}
                body = json.dumps({"choices": [{"message": {"content": text}}], "usage": usage})
                if status != 200:
                    body = json.dumps({"error": {"message": f"no luck with {status}"}})
                if instead and not isinstance(instead, int) and instead[0] == "body":
                    body = instead[1]
                self.send_response(status)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def run(server, cache, *, num=12, endpoint=(), prices=None, languages=("en",), **settings):
    settings = {"kinds": ("short-long", "long-short", "short-short", "long-long", "sts"), **settings}

    async def asked():
        options = {"first_wait": 0.001, "timeout": 5, **dict(endpoint)}
        async with Endpoint(server.url, "big", **options) as open_endpoint:
            return await synthesize(
                open_endpoint,
                SynthesisSettings(num_records=num, **settings),
                read_personas().only(languages),
                cache=cache,
                prices=prices,
            )

    return asyncio.run(asked())


def test_samples_of_all_kinds_are_written_checked_and_counted(server, tmp_path):
    records, report = run(server, tmp_path, samples_per_instruction=2, prices=Prices(tokens_in=1.0, tokens_out=4.0))
    assert len(records) == report.num_records == 12
    assert {record.source for record in records} == {f"synthetic-{kind}" for kind in report.settings.kinds}
    for record in records:
        assert len(record.negatives) == 1
        assert record.language == "en"
        assert record.task.startswith("Find the sentence" if record.source == "synthetic-sts" else "Given a ")
    num_instructions = sum('{"instruction"' in request["messages"][1]["content"] for request in server.requests)
    assert (
        num_instructions == 4 + 2
    )  # the first group of ten samples has all four two-step kinds, the next two samples two
    assert report.num_requests == len(server.requests)
    assert (report.tokens_in, report.tokens_out) == (100 * report.num_requests, 50 * report.num_requests)
    assert report.cost == pytest.approx(report.num_requests * 300e-6)
    assert server.requests[0]["messages"][0]["content"].startswith("You are a ")


def test_no_more_requests_are_under_way_than_allowed(server, tmp_path):
    server.misbehave = lambda _: ("sleep", 0.02)
    run(server, tmp_path, concurrency=3)
    assert server.most_at_once <= 3
    assert server.most_at_once > 1


def test_records_do_not_depend_on_who_answers_first_and_a_second_run_asks_nothing(server, tmp_path):
    records, _ = run(server, tmp_path / "a", concurrency=8)
    again, _ = run(server, tmp_path / "b", concurrency=1)
    assert again == records
    num_requests = len(server.requests)
    cached, report = run(server, tmp_path / "a", prices=Prices(tokens_in=1.0))
    assert cached == records
    assert len(server.requests) == num_requests
    assert (report.num_requests, report.cost) == (0, 0.0)
    assert report.total_cost > 0


def test_failures_for_the_time_being_are_tried_again(server, tmp_path):
    trouble = {0: 429, 2: 500, 3: ("body", "<html>"), 5: 503, 7: ("sleep", 0.6)}
    server.misbehave = trouble.get
    records, report = run(server, tmp_path, endpoint={"timeout": 0.3}.items())
    assert records == run(server, tmp_path / "calm")[0]
    assert report.refused == {}


def test_bad_answers_are_refused_and_asked_for_once_more(server, tmp_path):
    def misbehave(number):
        bad = [
            "no JSON here",
            '{"query": "only"}',
            json.dumps({"query": GERMAN, "positive": GERMAN + " Ja.", "negative": "x y"}),
        ]
        return ("text", bad[number // 7 % 3]) if number % 7 == 6 else None

    server.misbehave = misbehave
    records, report = run(server, tmp_path, num=20, kinds=("sts",), concurrency=1)
    assert len(records) == 20
    assert set(report.refused) == {"json", "fields", "language"}
    assert report.examples["json"][0] == "no JSON here"


def test_a_model_that_repeats_itself_is_given_up(server, tmp_path):
    same = json.dumps({"query": "the same old question", "positive": "the same answer", "negative": "a wrong one"})
    server.misbehave = lambda _: ("text", same)
    with pytest.raises(InputError, match=r"16 samples gave 1 of 4 records \(refused: duplicate 15\); expected a model"):
        run(server, tmp_path, num=4, kinds=("sts",))


def test_what_cannot_be_mended_is_one_error(server, tmp_path):
    server.misbehave = lambda _: 401
    with pytest.raises(FetchError, match=r"refused: status 401 no luck with 401; check address, model name and key"):
        run(server, tmp_path)
    server.misbehave = lambda _: 500
    with pytest.raises(FetchError, match=r"failed 3 times, last with status 500 no luck with 500; see that the server"):
        run(server, tmp_path, endpoint={"retries": 2}.items())
    server.misbehave = lambda _: ("body", '{"choices": []}')
    with pytest.raises(FetchError, match=r"answered with no chat completion; expected choices"):
        run(server, tmp_path)


def test_a_key_is_sent_and_kept_nowhere(server, tmp_path):
    run(server, tmp_path, num=1, endpoint={"key": "s3cret"}.items())
    assert server.headers[0]["authorization"] == "Bearer s3cret"
    assert all("s3cret" not in path.read_text() for path in tmp_path.rglob("*.json"))


def test_a_run_that_was_killed_goes_on(server, tmp_path):
    command = [
        sys.executable, "-m", "slimvec", "synthesize", "--endpoint", server.url, "--model", "big", "--language", "en",
        "--kind", "sts", "--num", "30", "--concurrency", "2", "--output", "out.jsonl", "--json",
    ]  # fmt: skip
    server.misbehave = lambda number: ("sleep", 30) if number >= 12 else None
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while len(server.requests) < 13 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out.jsonl").exists()
    server.misbehave = lambda _: None
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["num_cached"] >= 11
    assert report["num_cached"] + report["num_requests"] == 30
    records = list(read_records(tmp_path / "out.jsonl"))
    assert records == run(server, tmp_path / "whole", num=30, kinds=("sts",))[0]


def assignment(kind="sts", language="en", **changes):
    voice = read_personas().only((language,)).personas[0]
    return Assignment(number=0, kind=kind, persona=voice, language="English", **changes)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ("sorry", "sts", "json"),
        ("[1]", "sts", "json"),
        ('{"query": "a b", "positive": 3, "negative": "c d"}', "sts", "fields"),
        ('{"query": "a b", "positive": "A  b", "negative": "c d"}', "sts", "copy"),
        ('{"query": "a b", "positive": "c", "negative": "c d"}', "sts", "length"),
        ('{"query": "a b", "positive": "too short", "negative": "c d"}', "short-long", "length"),
        ('{"query": "a \\ud800", "positive": "b c", "negative": "c d"}', "sts", "fields"),
        (json.dumps({"query": GERMAN, "positive": "a b", "negative": "c d"}), "sts", "language"),
    ],
)
def test_answers_that_cannot_be_used(answer, kind, reason):
    with pytest.raises(AnswerError) as error:
        parse_sample(answer, assignment(kind), "Given x, find y")
    assert error.value.reason == reason


def test_a_sample_may_stand_in_a_fence_and_hold_line_breaks():
    answer = 'Sure!\n```json\n{"query": "a\nb", "positive": "c d", "negative": "e f"}\n```'
    record = parse_sample(answer, assignment(), "")
    assert (record.query, record.positives, record.negatives) == ("a\nb", ("c d",), ("e f",))


def test_translations_are_judged_by_their_own_language():
    english = "The museum opens at nine o'clock and is unfortunately always closed on Mondays."
    answer = json.dumps({"query": english, "positive": GERMAN})
    record = parse_sample(answer, assignment("bitext", other_code="de", other_language="German"), "")
    assert (record.positives, record.negatives, record.source) == ((GERMAN,), (), "synthetic-bitext")
    with pytest.raises(AnswerError):
        parse_sample(answer, assignment("bitext", other_code="fr", other_language="French"), "")


def test_instructions_are_short():
    assert parse_instruction('{"instruction": "Given a  bee,\\nfind its hive"}') == "Given a bee, find its hive"
    with pytest.raises(AnswerError):
        parse_instruction(json.dumps({"instruction": "word " * 41}))


def test_personas_of_our_own_and_of_a_file(tmp_path):
    own = read_personas()
    assert len(own.personas) >= 60
    assert len({persona.language for persona in own.personas}) >= 25
    assert len({persona.persona for persona in own.personas}) == len(own.personas)
    with pytest.raises(InputError, match="no persona writes in xx; expected one of ar, bn"):
        own.only(("xx",))
    path = tmp_path / "personas.yaml"
    path.write_text("languages: {en: English}\npersonas: [{persona: a smith, language: de}]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"personas.yaml: languages has no name for de"):
        read_personas(path)
    with pytest.raises(InputError, match=r"none.yaml cannot be read: No such file"):
        read_personas(tmp_path / "none.yaml")


class Writer:
    """A generator on this machine that writes well when asked again."""

    model = "small"

    def __init__(self, **settings):
        self.settings, self.num_asked = settings, 0

    async def generate(self, messages, *, seed, temperature):
        self.num_asked += 1
        request = {"messages": messages, "seed": seed, "temperature": temperature}
        return Completion(text="..." if seed % 3 == 0 else honest_answer(request), tokens_in=7, tokens_out=5)


def test_any_generator_will_do_and_its_settings_tell_answers_apart(tmp_path):
    def written(writer):
        settings = SynthesisSettings(num_records=6, kinds=("sts", "short-short"), attempts=3)
        told = []
        voices = read_personas().only(("en",))
        made = asyncio.run(synthesize(writer, settings, voices, cache=tmp_path, on_answer=told.append))
        assert told == list(range(1, len(told) + 1))
        return *made, len(told)

    first = Writer(length=1)
    records, report, num_answers = written(first)
    assert (len(records), report.model, num_answers) == (6, "small", first.num_asked)
    assert report.refused == {"json": num_answers // 2}
    assert report.tokens_in == 7 * first.num_asked
    again, other = Writer(length=1), Writer(length=2)
    assert written(again)[0] == written(other)[0] == records
    assert (again.num_asked, other.num_asked) == (0, first.num_asked)
