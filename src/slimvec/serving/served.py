"""The models of a server, each with its queue, under the names that requests call them by."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slimvec.engine.embedder import Embedder
from slimvec.engine.scheduler import Scheduler
from slimvec.errors import InputError
from slimvec.model.identity import ModelIdentity
from slimvec.serving.errors import ApiError
from slimvec.serving.settings import ServerSettings
from slimvec.text.prompts import ROLES, Role

_NAME = re.compile(r"[\w.@/+-]{1,200}")


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model that is served.

    Attributes:
        name: What requests call it.
        source: Where it was loaded from.
        embedder: It.
        scheduler: The queue in front of it.
        identity: What tells it from every other model.
    """

    name: str
    source: str
    embedder: Embedder
    scheduler: Scheduler
    identity: ModelIdentity

    @classmethod
    def of(cls, name: str, source: str, embedder: Embedder, settings: ServerSettings) -> "ServedModel":
        """Put a queue in front of a model.

        Raises:
            InputError: a name that no request could say.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"model name {name!r}", expected="letters, digits and . _ - + @ /", do="write NAME=SOURCE")
        scheduler = Scheduler(
            embedder.executor,
            queries=embedder.for_role("query").executor,
            max_waiting_tokens=settings.max_waiting_tokens,
            max_wait_seconds=settings.max_wait_seconds,
        )
        return cls(name, source, embedder, scheduler, embedder.identity)


class Models:
    """The models of a server.

    Args:
        models: At least one; the first is asked where a route takes no model's name.

    Raises:
        InputError: there are none, or two of one name.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._by_name: Mapping[str, ServedModel] = {model.name: model for model in models}
        if not models or len(self._by_name) < len(models):
            names = ", ".join(model.name for model in models)
            raise InputError(f"models {names or '(none)'}", expected="different names", do="write NAME=SOURCE")

    def __iter__(self) -> Iterator[ServedModel]:
        """Give them in their order."""
        return iter(self._by_name.values())

    @property
    def first(self) -> ServedModel:
        """The one that routes without a model's name ask."""
        return next(iter(self._by_name.values()))

    def find(self, name: str) -> tuple[ServedModel, Role | None]:
        """Find a model by its name, which may end in the role that texts have: `NAME:query`.

        Raises:
            ApiError: there is no such model; another one's vectors would not do.
        """
        for role in ROLES:
            bare = name.removesuffix(f":{role}")
            if bare != name and bare in self._by_name:
                return self._by_name[bare], role
        if name not in self._by_name:
            names = ", ".join(self._by_name)
            raise ApiError(
                404, f"there is no such model here; expected one of {names}", param="model", code="model_not_found"
            )
        return self._by_name[name], None

    @property
    def are_running(self) -> bool:
        """Whether all take requests."""
        return all(model.scheduler.is_running for model in self)

    def close(self) -> None:
        """Finish what was taken, and take no more."""
        for model in self:
            model.scheduler.close()
