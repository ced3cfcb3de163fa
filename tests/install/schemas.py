"""Makes kubeconform's schemas from what a running kube-apiserver publishes, one file a kind: nothing is fetched.

kubeconform asks for `KIND-GROUP-VERSION.json`. The API server's definitions (OpenAPI 2) become JSON Schema by refusing
fields that are not named, as its strict field validation does, and by saying of int-or-string what it means.
"""

import json
from pathlib import Path

from common import kubectl

PATTERN = "{{ .ResourceKind }}{{ .KindSuffix }}.json"


def write(folder: Path) -> str:
    """Fills the folder, and gives back where kubeconform is to look."""
    definitions = json.loads(kubectl("get", "--raw", "/openapi/v2"))["definitions"]
    for definition in definitions.values():
        strict(definition)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            suffix = "-".join(part for part in (group, kind["version"]) if part)
            schema = {"$ref": f"#/definitions/{name}", "definitions": reachable(name, definitions)}
            (folder / f"{kind['kind'].lower()}-{suffix}.json").write_text(json.dumps(schema))
    return f"{folder}/{PATTERN}"


def strict(schema: dict) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
        for child in schema["properties"].values():
            strict(child)
    if isinstance(schema.get("additionalProperties"), dict):
        strict(schema["additionalProperties"])
    if "items" in schema:
        strict(schema["items"])
    if schema.get("format") == "int-or-string":
        schema["type"] = ["integer", "string"]


def reachable(name: str, definitions: dict) -> dict:
    """The definitions that this one leads to."""
    found, waiting = {}, [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting += references(definitions[name])
    return found


def references(schema) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in references(item)]
    if isinstance(schema, dict):
        own = [schema["$ref"].removeprefix("#/definitions/")] if isinstance(schema.get("$ref"), str) else []
        return own + [name for key, value in schema.items() if key != "$ref" for name in references(value)]
    return []
