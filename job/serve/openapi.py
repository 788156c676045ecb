"""What the server answers, as OpenAPI describes it, and as a page that needs no network and no script."""

import re
from typing import TYPE_CHECKING, Any

from job import __version__
from job.model.predict import REASONS
from job.report import pages
from job.serve.limits import Limits

if TYPE_CHECKING:
    from job.model.predict import Model

_PICTURE = {"type": "string", "format": "binary", "description": "A JPEG or PNG."}
_GUESS = {
    "type": "object",
    "required": ["category", "probability"],
    "properties": {
        "category": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
_OBJECT = {"type": "object"}
_MODEL = {
    "digest": {"type": "string", "description": "SHA-256: two models of the same digest are the same."},
    "categories": {"type": "array", "items": {"type": "string"}},
    "facts": {**_OBJECT, "description": "Run that made it, and its accuracy where it was scored."},
    "recipe": _OBJECT,
    "versions": _OBJECT,
    "max_bytes": {"type": "integer", "description": "Pictures of more bytes are too large."},
    "card": {"type": ["string", "null"], "description": "README.md of the model, as Markdown; null without one."},
    "figures": {
        "type": ["array", "null"],
        "description": "What eval_results.yaml of the model says: accuracy and calibration error of what was scored.",
    },
}
_STATUSES = ["ok", *REASONS]
# A name or number of a host, with its port: what may stand in a command that somebody copies.
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


def _answer(**more: Any) -> dict[str, Any]:
    """The schema of what is said of one picture."""
    return {
        "type": "object",
        "required": [*more, "status", "category", "probability", "top"],
        "properties": {
            **more,
            "status": {"type": "string", "enum": _STATUSES},
            "category": {"type": ["string", "null"]},
            "probability": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "top": {"type": "array", "items": {"$ref": "#/components/schemas/Guess"}},
            "reason": {"type": "string", "description": "What the status means, where it is not ok."},
        },
    }


def _json(about: str, *schemas: str) -> dict[str, Any]:
    links = [{"$ref": f"#/components/schemas/{name}"} for name in schemas]
    schema = links[0] if len(links) == 1 else {"anyOf": links}
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _get(about: str, code_200: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"get": {"summary": about, "responses": {"200": code_200, **more}}}


def description(limits: Limits) -> dict[str, Any]:
    """The OpenAPI description of a server with these limits, as JSON values."""
    unusable = ("Prediction", "Predictions", "Refusal")
    again = {**_json("The server has too much to do, or took too long.", "Refusal")}
    again["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    predict = {
        "summary": "What pictures show",
        "description": "A picture as the body, whatever its content type says; or several as parts of a form. "
        f"A body has at most {limits.body >> 20} MiB, a form {limits.pictures} pictures.",
        "parameters": [
            {
                "name": "top_k",
                "in": "query",
                "description": "How many of the most probable categories are named.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
            },
            {
                "name": "reject_below",
                "in": "query",
                "description": "Below this probability the status is unknown.",
                "schema": {"type": "number", "minimum": 0, "maximum": 1},
            },
            {
                "name": "reject_unknown",
                "in": "query",
                "description": "The share of known pictures that may be lost, such as 0.05, so that the status of "
                "pictures of something else is unknown. Only a model of the classifier lda or rda answers it.",
                "schema": {"type": "number", "minimum": 0, "maximum": 1},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/jpeg": {"schema": _PICTURE},
                "image/png": {"schema": _PICTURE},
                "application/octet-stream": {"schema": _PICTURE},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["picture"],
                        "properties": {"picture": {"type": "array", "minItems": 1, "items": _PICTURE}},
                    }
                },
            },
        },
        "responses": {
            "200": _json("Of one picture, or of each part of a form.", "Prediction", "Predictions"),
            "400": _json("The body is empty, or the request is not what it must be.", *unusable),
            "408": _json("The body did not come in time.", "Refusal"),
            "413": _json("Too many bytes or pixels.", *unusable),
            "415": _json("The picture is neither a JPEG nor a PNG.", *unusable),
            "422": _json("The picture is truncated, blank or damaged.", *unusable),
            "503": again,
        },
    }
    text = {"description": "Text.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    html = {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    anything = {"description": "JSON.", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "fruits", "version": __version__, "description": "What pictures show, by a saved model."},
        "paths": {
            "/predict": {"post": predict},
            "/model": _get("The model: categories, recipe, accuracy, versions, its card", _json("JSON.", "Model")),
            "/healthz": _get("Whether the server lives", _json("It does.", "State")),
            "/readyz": _get(
                "Whether it takes requests on",
                _json("It does.", "State"),
                **{"503": _json("It is about to stop, or busy.", "Refusal")},
            ),
            "/metrics": _get("Counters for Prometheus", text),
            "/openapi.json": _get("This description", anything),
            "/": _get("A page that says the same", html),
        },
        "components": {
            "schemas": {
                "Guess": _GUESS,
                "Model": {**_OBJECT, "required": list(_MODEL), "properties": _MODEL},
                "Prediction": _answer(),
                "Predictions": {
                    "type": "object",
                    "required": ["predictions"],
                    "properties": {"predictions": {"type": "array", "items": _answer(picture={"type": "string"})}},
                },
                "Refusal": {
                    "type": "object",
                    "required": ["status", "reason"],
                    "properties": {"status": {"type": "string"}, "reason": {"type": "string"}},
                },
                "State": {
                    "type": "object",
                    "required": ["status"],
                    "properties": {"status": {"type": "string"}},
                },
            }
        },
    }


def page(model: "Model", limits: Limits, host: str) -> str:
    """The page at /: the model, a form to try it, and what each path answers, for a server that is known as `host`."""
    return pages.template("job.serve", "page.html.j2").render(
        address=f"http://{host if _HOST.fullmatch(host) else 'ADDRESS'}",
        description=description(limits),
        model=model,
        statuses=REASONS,
    )
