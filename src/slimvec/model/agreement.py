"""Whether the two forms of a model folder say the same: `slimvec.json`, and the files that other libraries read."""

from collections.abc import Sequence
from pathlib import Path

from slimvec.errors import ModelError
from slimvec.model.architectures import Config, is_decoder, longest_text
from slimvec.model.foreign_settings import read_foreign
from slimvec.model.manifest import MANIFEST_NAME, Manifest
from slimvec.model.modules import read_modules
from slimvec.model.spec import HeadLayer
from slimvec.text.prompts import Role


def check_agreement(folder: Path, manifest: Manifest, config: Config, roles: Sequence[Role]) -> None:
    """Refuse a folder that sentence-transformers would read as another model than slimvec does.

    A beta pooling that only slimvec knows is not compared.

    Args:
        folder: Folder of the model.
        manifest: Its `slimvec.json`.
        config: `config.json` of its weights.
        roles: Roles of the texts that run through them.

    Raises:
        ModelError: the files contradict each other, or one of them cannot be read.
    """
    role = roles[-1]
    ours = manifest.spec.for_role(role)
    if ours.pooling.standard_mode() == "beta":
        return
    theirs = read_foreign(folder, read_modules(folder, role), config).spec()
    cut = ours.dims is not None and ours.dims < ours.full_width(int(config["hidden_size"]))
    positions = ours.max_tokens if is_decoder(config) else longest_text(config)
    pairs = {
        "pooling": (ours.pooling.standard_mode(), theirs.pooling.mode),
        "include_prompt": (ours.pooling.include_prompt, theirs.pooling.include_prompt),
        "number of Dense, LayerNorm and other layers": (len(ours.head) + cut, len(theirs.head)),
        "Dense, LayerNorm and other layers": (_shown(ours.head), _shown(theirs.head[: len(ours.head)])),
        "normalize": (ours.normalize, theirs.normalize),
        "similarity": (ours.similarity, theirs.similarity),
        "do_lower_case": (ours.lower_case, theirs.lower_case),
        "max_seq_length": (min(ours.max_tokens, positions), theirs.max_tokens),
        "prompt of queries": (ours.prompts.render("query"), theirs.prompts.render("query")),
        "prompt of documents": (ours.prompts.render("document"), theirs.prompts.render("document")),
    }
    if not manifest.adapter:  # an adapter's attention is in its own files, its config in its base's
        pairs["attention"] = (ours.attention, theirs.attention)
    for name, (said, read) in pairs.items():
        if said != read:
            raise ModelError(
                f"{folder}: the files that sentence-transformers reads say {name} {read!r}",
                expected=f"{said!r}, as {MANIFEST_NAME} says",
                do="restore the file that was changed, or save the model again",
            )


def _shown(head: Sequence[HeadLayer]) -> str:
    """Write the layers of a head in a line."""
    return "; ".join(map(str, head))
