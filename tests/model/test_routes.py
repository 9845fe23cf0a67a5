"""Routers: queries and documents through other modules of one model, as sentence-transformers runs them."""

import json
import warnings
from shutil import copytree

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from slimvec.engine.embedder import Embedder
from slimvec.engine.scheduler import Scheduler
from slimvec.errors import ModelError, ModelWarning
from slimvec.model.folder import load_model
from slimvec.model.inspection import inspect_model
from slimvec.model.opening import open_model
from slimvec.model.spec import Pooling
from slimvec.text.prompts import ROLES, Prompts
from tests.model.foreign import TEXTS, add_dense, add_module, assert_equals_theirs, edit, foreign, sentence_transformer
from tests.serving.running import running


def write(target, queries, documents, *behind, **router):
    """Save the modules of two folders as the routes of a Router, with modules behind it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Router

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        routes = Router({"query": queries, "document": documents}, **router)
        prompts = {"query": "find: ", "document": "text: "}
        SentenceTransformer(modules=[routes, *behind], prompts=prompts).save(str(target))
    return target


def modules(folder):
    return list(sentence_transformer(folder))


def one_backbone(root, architecture="llama", mode="causal"):
    """A model whose queries are pooled by their last token and go through a Dense, its documents by their mean."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling as TheirPooling

    transformer, pooling = modules(foreign(root / "base", architecture, mode))
    last = TheirPooling(32, pooling_mode="lasttoken")
    torch.manual_seed(0)
    return write(root / "model", [transformer, last, Dense(32, 32)], [transformer, pooling], Normalize())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return one_backbone(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Queries through a small decoder, documents through an encoder with another tokenizer's limit and a Dense."""
    root = tmp_path_factory.mktemp("two")
    document = foreign(root / "document", "bert", "bidirectional", seed=3)
    edit(document / "sentence_bert_config.json", max_seq_length=9)
    add_dense(document, 32, 32, "activation.Tanh")
    return write(root / "model", modules(foreign(root / "query", "qwen2", "causal")), modules(document))


@pytest.mark.parametrize("engine", ["auto", "transformers"])
def test_routes_behind_one_transformer_share_a_backbone(shared, engine, tmp_path):
    loaded = Embedder.load(shared, engine=engine)
    assert loaded.for_role("query").backbone is loaded.backbone
    assert_equals_theirs(shared, loaded)
    assert (loaded.embed_queries(TEXTS) * loaded.embed_documents(TEXTS)).sum(axis=1).max() < 0.9
    loaded.save(tmp_path / "saved")
    assert not (tmp_path / "saved/query/config.json").exists()
    assert_equals_theirs(tmp_path / "saved", again := Embedder.load(tmp_path / "saved", engine=engine))
    assert again.spec == loaded.spec
    assert loaded.verify(tmp_path / "saved") > 0.99999


def test_routes_with_transformers_of_their_own(two, tmp_path):
    loaded = Embedder.load(two)
    assert loaded.for_role("query").backbone is not loaded.backbone
    assert (loaded.spec.max_tokens, loaded.spec.queries.max_tokens) == (9, 200)
    assert loaded.engine.startswith("transformers/")
    assert ", queries fused/" in loaded.engine
    long = "one more text of which the route of documents cuts the end off, at its own limit of tokens"
    assert_equals_theirs(two, loaded, [*TEXTS, long])
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"), [*TEXTS, long])
    (tmp_path / "saved/slimvec.json").unlink()
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"), [*TEXTS, long])


def test_equal_weights_in_two_folders_are_loaded_once(tmp_path):
    first, second = (foreign(tmp_path / name) for name in "ab")
    add_dense(second, 32, 32)
    folder = write(tmp_path / "model", modules(first), modules(second))
    loaded = Embedder.load(folder)
    assert loaded.for_role("query").backbone is loaded.backbone
    assert_equals_theirs(folder, loaded)


def test_routes_alike_are_one_model(tmp_path):
    plain = modules(foreign(tmp_path / "base", prompts=Prompts()))
    folder = write(tmp_path / "model", plain, plain)
    loaded = Embedder.load(folder)
    assert loaded.spec.queries is None
    assert_equals_theirs(folder, loaded)
    loaded.save(tmp_path / "saved")
    assert_equals_theirs(tmp_path / "saved", Embedder.load(tmp_path / "saved"))


def test_a_router_behind_the_pooling(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Router

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        routes = Router({"query": [Dense(32, 16)], "document": [Dense(32, 16)]})
        SentenceTransformer(modules=[*modules(foreign(tmp_path / "base")), routes]).save(str(tmp_path / "model"))
    assert_equals_theirs(tmp_path / "model", Embedder.load(tmp_path / "model"))


MAPPINGS = [
    {"('query', 'text')": "document", "('query', None)": "query"},
    {"(None, 'text')": "query"},
    {"(None, None)": "document", "('document', None)": "query"},
    {"(None, ('image', 'text'))": "query"},
]


@pytest.mark.parametrize("mappings", MAPPINGS)
def test_routes_are_mapped_as_in_sentence_transformers(shared, mappings, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    parameters = {"default_route": None, "allow_empty_key": True, "route_mappings": mappings}
    edit(folder / "router_config.json", parameters=parameters)
    assert_equals_theirs(folder, Embedder.load(folder))


def renamed(folder, **names):
    """Call routes something else."""
    content = json.loads((folder / "router_config.json").read_text())
    structure = {names.get(route, route): found for route, found in content["structure"].items()}
    edit(folder / "router_config.json", structure=structure, parameters={"default_route": None})


def test_a_route_of_texts_serves_both_roles_and_one_of_images_is_left_alone(shared, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    renamed(folder, query="image", document="text")
    loaded = Embedder.load(folder)
    assert loaded.spec.queries is None
    assert_equals_theirs(folder, loaded)


REFUSED = [
    ({"structure": {}}, "has no routes"),
    ({"structure": {"query": ["x"], "document": []}}, "has no routes"),
    ({"types": []}, "has no routes"),
    ({"parameters": {"default_route": "passage"}}, "names a route 'passage'; expected one of query, document"),
    ({"parameters": {"route_mappings": {"('query', None)": "image"}}}, "names a route 'image'"),
    ({"parameters": {"route_mappings": {"query": "query"}}}, "maps 'query' to a route; expected a pair"),
    ({"parameters": {"route_mappings": ["query"]}}, "has route_mappings"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_sentence_transformers_would_not_read_is_refused(shared, changes, message, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    edit(folder / "router_config.json", **changes)
    with pytest.raises(ModelError, match=message):
        Embedder.load(folder)


def test_a_role_without_a_route_is_refused(shared, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    renamed(folder, document="passage")
    with pytest.raises(ModelError, match="routes query, passage; expected one for texts in the role document"):
        Embedder.load(folder)


def test_routes_of_two_widths_are_refused(tmp_path):
    first, second = (foreign(tmp_path / name) for name in "ab")
    add_dense(second, 32, 16)
    folder = write(tmp_path / "model", modules(first), modules(second))
    with pytest.raises(ModelError, match="gives queries 32 dims and documents 16; expected one width"):
        Embedder.load(folder)


def test_a_key_that_nobody_knows_is_a_warning(shared, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    edit(folder / "router_config.json", weights_by_role={"query": 2})
    with pytest.warns(ModelWarning, match="weights_by_role"):
        Embedder.load(folder)


def test_every_way_to_embed_knows_the_roles(shared, tmp_path):
    loaded = Embedder.load(shared, engine="fused")
    expected = loaded.embed_queries(TEXTS)
    np.testing.assert_allclose(
        loaded.embed_long(TEXTS, policy="window-mean", role="query").vectors, expected, atol=1e-6
    )
    state = loaded.open(TEXTS[1], role="query")
    np.testing.assert_allclose(state.vector, expected[1], atol=1e-5)
    state.save(tmp_path / "state")
    np.testing.assert_allclose(loaded.load_state(tmp_path / "state").vector, expected[1], atol=1e-5)
    np.testing.assert_allclose(loaded.prefixes(TEXTS[1], role="query").vectors[-1], expected[1], atol=1e-5)
    last = loaded.embed_poolings(TEXTS, [Pooling(mode="last")], role="query")[0].vectors
    np.testing.assert_allclose(last, expected, atol=1e-6)
    np.testing.assert_allclose(loaded.embed_chunks(TEXTS[1], chunk_tokens=99, role="query").vectors.shape, (1, 32))


@pytest.mark.parametrize("name", ["shared", "two"])
def test_the_scheduler_runs_both_roles_in_one_queue(name, request):
    loaded = Embedder.load(request.getfixturevalue(name))
    scheduler = Scheduler(loaded.executor, queries=loaded.for_role("query").executor)
    try:
        asked = [(role, scheduler.submit(TEXTS, role=role)) for role in ("query", "document", "query", "document")]
        for role, future in asked:
            expected = loaded.embed(TEXTS, role=role)
            np.testing.assert_allclose(future.result(30).vectors, expected.vectors, atol=1e-5)
            assert future.result().tokens.tolist() == expected.tokens.tolist()
    finally:
        scheduler.close()


def test_a_server_gives_each_role_its_route(shared):
    loaded = Embedder.load(shared)
    with running({"routed": loaded}) as server:
        for role in ROLES:
            asked = {"model": "routed", "input": TEXTS, "input_type": role}
            vectors = [row["embedding"] for row in server.post("/v1/embeddings", asked).json()["data"]]
            np.testing.assert_allclose(vectors, loaded.embed(TEXTS, role=role).vectors, atol=1e-5)
        shown = server.get("/v1/models/routed").json()["slimvec"]
    assert (shown["pooling"]["mode"], shown["queries"]["pooling"]["mode"]) == ("mean", "last")


def test_what_is_read_from_where(two):
    found = inspect_model(open_model(two)).as_json()
    query, document = found["settings"]["queries.max_tokens"], found["settings"]["max_tokens"]
    assert (query["value"], document["value"]) == (200, 9)
    assert query["file"] != document["file"]
    assert found["tensors"]["num"] > 30


def test_an_identity_covers_both_routes(two, tmp_path):
    folder = copytree(two, tmp_path / "model")
    identity, model = Embedder.load(two).identity, Embedder.load(folder)
    assert model.identity.sha256 == identity.sha256
    (place,) = folder.glob("query_1_*")
    edit(place / "config.json", pooling_mode="cls")
    assert Embedder.load(folder).identity.sha256 != identity.sha256
    edit(folder / "config_sentence_transformers.json", prompts={"query": "seek: ", "document": "other: "})
    assert_equals_theirs(folder, Embedder.load(folder))


def test_a_setting_asked_for_counts_for_both_routes(shared):
    loaded = Embedder.load(shared, pooling="mean", dims=8)
    assert loaded.spec.queries.pooling == loaded.spec.pooling == Pooling()
    assert loaded.embed_queries(TEXTS).shape == loaded.embed_documents(TEXTS).shape == (len(TEXTS), 8)


def test_a_model_with_routes_is_not_trained(shared, tmp_path):
    with pytest.raises(ModelError, match="different modules for queries and documents; expected the same for both"):
        load_model(shared)
    with pytest.raises(ModelError, match="expected whole weights alone"):
        Embedder.load(shared).save(tmp_path / "saved", merged=False)


def test_a_changed_route_does_not_pass_for_what_was_saved(shared, tmp_path):
    Embedder.load(shared).save(tmp_path / "saved")
    edit(tmp_path / "saved/query/2_Dense/config.json", activation_function="torch.nn.modules.linear.Identity")
    with pytest.raises(ModelError, match=r"say Dense, LayerNorm and other layers .*Identity.*expected.*Tanh"):
        Embedder.load(tmp_path / "saved")
    edit(tmp_path / "saved/query/2_Dense/config.json", activation_function="torch.nn.modules.activation.Tanh")
    weights = tmp_path / "saved/query/2_Dense/model.safetensors"
    save_file({name: -tensor for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(ModelError, match="as query has a cosine of"):
        Embedder.load(tmp_path / "saved")


def test_an_unserved_module_on_a_route_is_named(shared, tmp_path):
    folder = copytree(shared, tmp_path / "model")
    content = json.loads((folder / "router_config.json").read_text())
    name = content["structure"]["query"][-1]
    edit(folder / "router_config.json", types=content["types"] | {name: "sentence_transformers.models.StaticEmbedding"})
    with pytest.raises(ModelError, match="StaticEmbedding"):
        Embedder.load(folder)
    add_module(folder, "WordWeights", {})
    with pytest.raises(ModelError, match="WordWeights"):
        Embedder.load(folder)
