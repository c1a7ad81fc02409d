"""One value that fits a JSON Schema, for answers that must be JSON.

Covers what people put into prompts: types, const and enum, nested objects and arrays, bounds on
numbers and lengths, local ``$ref``, the first branch of anyOf and oneOf, merged allOf. Patterns,
formats beyond dates, and conditions are left out.
"""

import math

from pipeline.codec import Json

Schema = dict[str, Json]

_DEPTH = 8
"""Beyond it optional properties are left out, so that a schema that holds itself ends."""

_FORMATS = {
    "date": "2025-01-01",
    "date-time": "2025-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "emulator@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example(schema: Schema, text: str) -> Json:
    """Make one value that fits; strings without other bounds say `text`."""
    return _Maker(schema, text).value(schema, 0)


class _Maker:
    def __init__(self, root: Schema, text: str) -> None:
        self._root = root
        self._text = text

    def value(self, schema: Json, depth: int) -> Json:
        if not isinstance(schema, dict) or depth > 2 * _DEPTH:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        options = schema.get("enum")
        if isinstance(options, list) and options:
            return options[0]
        return self._typed(schema, depth)

    def _typed(self, schema: Schema, depth: int) -> Json:
        value: Json = None
        match _type(schema):
            case "object":
                value = self._object(schema, depth)
            case "array":
                value = self._array(schema, depth)
            case "string":
                value = self._string(schema)
            case "integer":
                value = math.ceil(_number(schema, 1))
            case "number":
                value = _number(schema, 0.5)
            case "boolean":
                value = True
        return value

    def _resolved(self, schema: Schema) -> Schema:
        for _ in range(_DEPTH):
            reference, branches = schema.get("$ref"), schema.get("anyOf") or schema.get("oneOf")
            if isinstance(reference, str):
                schema = _without(schema, "$ref") | self._lookup(reference)
            elif isinstance(branches, list) and isinstance(branches[0], dict):
                schema = _without(schema, "anyOf", "oneOf") | branches[0]
            elif isinstance(parts := schema.get("allOf"), list):
                schema = _merged([_without(schema, "allOf"), *parts])
            else:
                break
        return schema

    def _lookup(self, reference: str) -> Schema:
        found: Json = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step and isinstance(found, dict):
                found = found.get(step)
        return found if isinstance(found, dict) else {}

    def _object(self, schema: Schema, depth: int) -> Json:
        properties, required = schema.get("properties"), schema.get("required")
        known = properties if isinstance(properties, dict) else {}
        needed = required if isinstance(required, list) else []
        names = [name for name in needed if isinstance(name, str)]
        if depth < _DEPTH:
            names = [*known, *(name for name in names if name not in known)]
        return {name: self.value(known.get(name, {"type": "string"}), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> Json:
        prefix = schema.get("prefixItems")
        if isinstance(prefix, list):
            return [self.value(item, depth + 1) for item in prefix]
        least, most = _whole(schema, "minItems"), _whole(schema, "maxItems")
        size = (1 if depth < _DEPTH else 0) if least is None else least
        size = size if most is None else min(size, most)
        return [self.value(schema.get("items", {"type": "string"}), depth + 1)] * size

    def _string(self, schema: Schema) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        shortest = _whole(schema, "minLength") or 0
        return self._text.ljust(shortest, ".")[: _whole(schema, "maxLength")]


def _type(schema: Schema) -> Json:
    stated = schema.get("type")
    if isinstance(stated, list):
        return next((name for name in stated if name != "null"), "null")
    if stated is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return stated


def _without(schema: Schema, *names: str) -> Schema:
    return {name: value for name, value in schema.items() if name not in names}


def _merged(parts: list[Json]) -> Schema:
    whole: Schema = {}
    for part in parts:
        for name, value in (part if isinstance(part, dict) else {}).items():
            former = whole.get(name)
            if isinstance(former, dict) and isinstance(value, dict):
                whole[name] = former | value
            elif name == "required" and isinstance(former, list) and isinstance(value, list):
                whole[name] = former + value
            else:
                whole[name] = value
    return whole


def _number(schema: Schema, usual: float) -> float:
    low = _bound(schema, "minimum", "exclusiveMinimum", 1)
    high = _bound(schema, "maximum", "exclusiveMaximum", -1)
    value = max(usual, low) if low is not None else usual
    value = min(value, high) if high is not None else value
    step = schema.get("multipleOf")
    return math.ceil(value / step) * step if isinstance(step, int | float) and step > 0 else value


def _bound(schema: Schema, closed: str, opened: str, step: int) -> float | None:
    if isinstance(limit := schema.get(closed), int | float):
        return limit
    if isinstance(limit := schema.get(opened), int | float):
        return limit + step
    return None


def _whole(schema: Schema, name: str) -> int | None:
    value = schema.get(name)
    return value if isinstance(value, int) else None
