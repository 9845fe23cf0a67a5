"""`/docs`: the API on a page made from its OpenAPI document. Nothing on it comes from elsewhere, and nothing runs."""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_METHODS = ("get", "post")


def api_page(document: Mapping[str, Any]) -> str:
    """Write the page.

    Args:
        document: The application's OpenAPI document.
    """
    sections = "\n".join(_sections(document))
    title = f"{document['info']['title']} {document['info']['version']}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>API of {escape(title)}</title><link rel="stylesheet" href="/static/style.css"></head>
<body><header><h1>API of {escape(title)}</h1>
<nav><a href="/">Page</a> <a href="/openapi.json">OpenAPI</a></nav></header>
<main><p>{escape(document["info"]["description"])} Errors have OpenAI's form. Send keys as
<code>Authorization: Bearer KEY</code>.</p>
{sections}
</main></body></html>
"""


def _sections(document: Mapping[str, Any]) -> Iterator[str]:
    """Write a section a route."""
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield from _route(document, path, method, methods[method])


def _route(document: Mapping[str, Any], path: str, method: str, route: Mapping[str, Any]) -> Iterator[str]:
    name = f"{method.upper()} {path}"
    yield f"<section><h2><code>{escape(name)}</code></h2><p>{escape(route.get('summary', ''))}</p>"
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        yield _fields(_resolved(document, body))
    answer = route["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if answer is not None:
        shown = json.dumps(answer, indent=1)
        yield f"<details><summary>Answer: {escape(_type(answer))}</summary><pre>{escape(shown)}</pre></details>"
    yield "</section>"


def _fields(schema: Mapping[str, Any]) -> str:
    """Write the fields of a body as a table, with the lines of its docstring about them."""
    meanings = dict(_meanings(schema.get("description", "")))
    rows = []
    for name, field in schema.get("properties", {}).items():
        need = "needed" if name in schema.get("required", ()) else f"default {json.dumps(field.get('default'))}"
        cells = (f"<code>{escape(name)}</code>", escape(_type(field)), escape(need), _with_code(meanings.get(name, "")))
        rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    head = "<tr><th>Field</th><th>Type</th><th></th><th>Meaning</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _with_code(text: str) -> str:
    """Escape a line, and show what stands between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _meanings(description: str) -> Iterator[tuple[str, str]]:
    """Read what the attributes of a class mean, out of its docstring."""
    name, words = "", ""
    for line in description.partition("Attributes:")[2].splitlines():
        start, colon, rest = line.strip().partition(": ")
        if colon and start.isidentifier() and not line.startswith("        "):
            yield name, words
            name, words = start, rest
        else:
            words += f" {line.strip()}"
    yield name, words


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference to the schema that it names."""
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def _type(schema: Mapping[str, Any]) -> str:
    """Name the type of a field in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", schema.get("const", "anything")))
