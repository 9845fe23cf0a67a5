"""Who the synthetic texts are written for: a small set of slimvec's own, or a file like it."""

from pathlib import Path

from pydantic import Field, model_validator

from slimvec.errors import InputError
from slimvec.frozen import Frozen, checked
from slimvec.yaml_files import read_own_yaml, read_yaml_file


class Persona(Frozen):
    """A person in a few words.

    Attributes:
        persona: Who, with trade and situation.
        language: Code of the language that the person writes in.
    """

    persona: str = Field(min_length=1)
    language: str


class Personas(Frozen):
    """Personas and the languages they write in.

    Attributes:
        languages: English name by code.
        personas: At least one; each in one of the languages.
    """

    languages: dict[str, str]
    personas: tuple[Persona, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _languages_are_named(self) -> "Personas":
        unnamed = {persona.language for persona in self.personas} - self.languages.keys()
        if unnamed:
            raise ValueError(f"languages has no name for {min(unnamed)}")
        return self

    def only(self, languages: tuple[str, ...]) -> "Personas":
        """Keep the personas that write in some languages; with none named, all.

        Raises:
            InputError: no persona writes in one of them.
        """
        for language in languages:
            if not any(persona.language == language for persona in self.personas):
                raise InputError(
                    f"no persona writes in {language}",
                    expected=f"one of {', '.join(sorted({persona.language for persona in self.personas}))}",
                )
        kept = tuple(persona for persona in self.personas if not languages or persona.language in languages)
        return Personas(languages=self.languages, personas=kept)


def read_personas(path: Path | None = None) -> Personas:
    """Read personas from a YAML file with `languages` and `personas`; default slimvec's own.

    Raises:
        InputError: the file is missing, is no YAML or does not hold personas.
    """
    if path is None:
        return Personas.model_validate(read_own_yaml(__package__, "personas.yaml"))
    with checked(f"{path}: ", expected="languages and personas"):
        return Personas.model_validate(read_yaml_file(path, "a YAML file of personas"))
