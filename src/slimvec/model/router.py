"""`router_config.json` of sentence-transformers: which modules texts of a role run through.

Its rules, for a text in a role: the first of `route_mappings` for (role, text), (role, any), (any, text), (any, any);
else the route called as the role; else the one called `text`. `default_route` is for texts without a role, and slimvec
has none.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimvec.errors import ModelError
from slimvec.model.json_files import read_object
from slimvec.text.prompts import Role

ROUTER_NAME = "router_config.json"
_FORM = "types, structure and parameters, as sentence-transformers writes them"
_TEXT = "text"


@dataclass(frozen=True)
class Router:
    """A Router module.

    Attributes:
        path: Its file.
        content: What the file says, `parameters` and what stands in them side by side.
        routes: Names of modules by route.
        mappings: Routes by role and modality; None stands for any.
    """

    path: Path
    content: Mapping[str, Any]
    routes: Mapping[str, list[str]]
    mappings: Mapping[tuple[Any, Any], str]

    def modules(self, role: Role) -> list[tuple[str, Any]]:
        """Give name and type of the modules that texts of a role run through, in their order.

        Raises:
            ModelError: there is no route for the role.
        """
        keys = [(role, _TEXT), (role, None), (None, _TEXT), (None, None)]
        mapped = [self.mappings[key] for key in keys if key in self.mappings]
        named = [name for name in (role, _TEXT) if name in self.routes]
        route = next(iter(mapped + named), None)
        if route is None:
            raise ModelError(
                f"{self.path} has the routes {', '.join(self.routes)}",
                expected=f"one for texts in the role {role}",
                do=f"name a route {role}, or map ({role!r}, None) to one",
            )
        return [(name, self.content["types"].get(name)) for name in self.routes[route]]


def read_router(folder: Path) -> Router:
    """Read the file of a Router, or of an Asym, as older versions call it.

    Raises:
        ModelError: it cannot be read, or sentence-transformers would not read it.
    """
    path = folder / ROUTER_NAME
    path = path if path.is_file() else folder / "config.json"
    content = read_object(path)
    parameters = content.pop("parameters", {})
    types, routes = content.get("types"), content.get("structure")
    if not isinstance(parameters, dict) or not isinstance(types, dict) or not isinstance(routes, dict) or not routes:
        raise ModelError(f"{path} has no routes", expected=_FORM)
    if not all(_is_route(route) for route in routes.values()):
        raise ModelError(f"{path} has no routes", expected=_FORM)
    default, mappings = parameters.get("default_route"), parameters.get("route_mappings") or {}
    if not isinstance(mappings, dict):
        raise ModelError(f"{path} has route_mappings {mappings!r}", expected=_FORM)
    for route in (*([] if default is None else [default]), *mappings.values()):
        if not isinstance(route, str) or route not in routes:
            raise ModelError(f"{path} names a route {route!r}", expected=f"one of {', '.join(routes)}")
    return Router(path, content | parameters, routes, {_key(key, path): route for key, route in mappings.items()})


def _is_route(modules: Any) -> bool:
    return isinstance(modules, list) and bool(modules) and all(isinstance(name, str) for name in modules)


def _key(text: str, path: Path) -> tuple[Any, Any]:
    """Read the key of a mapping, written as Python writes a pair.

    Raises:
        ModelError: it is none.
    """
    try:
        key = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        key = None
    if not isinstance(key, tuple) or len(key) != 2 or not all(isinstance(one, str | tuple | None) for one in key):
        raise ModelError(f"{path} maps {text!r} to a route", expected="a pair like \"('query', 'text')\"")
    return key[0], tuple(sorted(map(str, key[1]))) if isinstance(key[1], tuple) else key[1]
