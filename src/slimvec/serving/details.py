"""What decides a model's vectors, as the server shows it."""

from slimvec.serving.openai_schemas import ModelDetails
from slimvec.serving.served import ServedModel
from slimvec.text.prompts import ROLES, Role


def details_of(model: ServedModel, input_type: Role) -> ModelDetails:
    """Describe a model.

    Args:
        model: It.
        input_type: Role of texts whose request says none.
    """
    spec, embedder = model.embedder.spec, model.embedder
    return ModelDetails(
        identity=model.identity.sha256,
        dims=embedder.dims,
        trained_dims=list(spec.trained_dims),
        max_tokens=embedder.tokenizer.max_tokens,
        attention=spec.attention,
        pooling=spec.pooling,
        normalized=spec.normalize,
        similarity=spec.similarity,
        prompts={role: spec.prompts.render(role) for role in ROLES},
        tasks=sorted({*spec.prompts.tasks, *spec.prompts.named}),
        default_input_type=input_type,
        dtype=embedder.dtype,
        engine=embedder.engine,
        queries=spec.queries,
    )
