"""The API's application: routes, errors as sentences, the guard around it all."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from demls.api.models import News, Problem
from demls.api.version import API_VERSION
from demls.node.api import events, routes_groups, routes_node
from demls.node.api.access import Access, Denied
from demls.node.api.guard import API, Guard, problem_response
from demls.node.api.page import PAGE_FOLDER, serve_page
from demls.node.errors import Refused
from demls.node.service import Service
from demls.protocol.errors import BadInvite, NotAMember, RequestRefused, TooMuch, UnknownMember, UnknownProposal
from demls.wire.links import BadLink

STATUS_OF: dict[type[Exception], tuple[int, str]] = {
    UnknownMember: (404, "unknown-member"),
    UnknownProposal: (404, "unknown-proposal"),
    NotAMember: (409, "not-a-member"),
    TooMuch: (429, "too-much"),
    BadInvite: (400, "bad-invite"),
    BadLink: (400, "bad-link"),
    RequestRefused: (409, "refused"),
}
STATUS_OF_CODE = {
    "no-such-group": 404,
    "unknown-request": 404,
    "no-successor": 404,
    "bad-address": 400,
    "bad-name": 400,
    "unknown-command": 400,
    "empty": 400,
    "no-answer": 504,
    "internal": 500,
    "busy": 503,
    "stopping": 503,
    "storage": 503,
}
"""Of the node's own refusals; those that are not here are conflicts (409)."""


def describe() -> FastAPI:
    """The application with its routes and nothing behind them: enough for its OpenAPI document."""
    app = FastAPI(
        title="demls node",
        version=API_VERSION,
        description="Group messaging that nobody owns: the API of one node.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # nobody else learns who asked for what
        generate_unique_id_function=lambda route: route.name,
        responses={"4XX": {"model": Problem, "description": "A sentence that says what to do."}},
    )
    for part in (routes_node, routes_groups, events):
        app.include_router(part.router, prefix=API)
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, with the schemas of what the events socket sends."""
    document = describe().openapi()
    news = TypeAdapter(News).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas: dict[str, Any] = document["components"]["schemas"]
    schemas.update(news.pop("$defs"))
    schemas["News"] = {"title": "News", "description": "What the socket /api/v1/events sends.", **news}
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def create_app(service: Service, access: Access, page: Path = PAGE_FOLDER) -> FastAPI:
    """The application of a running node."""
    app = describe()
    app.state.service = service
    app.state.access = access
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(Refused, _refused)
    for kind in STATUS_OF:
        app.add_exception_handler(kind, _core_refused)
    app.add_middleware(Guard, access=access)
    serve_page(app, page)
    return app


async def _invalid(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] in ("json_invalid", "model_attributes_type", "missing") and not where:
        return problem_response(422, "invalid", "The body of this request is not the JSON that is expected here.")
    return problem_response(422, "invalid", f"“{where[:80]}” is not as expected: {first['msg'][:200]}.")


async def _http(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    phrase = HTTPStatus(problem.status_code).phrase
    sentences = {404: "There is nothing at this address.", 405: "This cannot be done at this address."}
    sentence = sentences.get(problem.status_code, "This request cannot be read.")
    return problem_response(problem.status_code, phrase.lower().replace(" ", "-"), sentence)


async def _denied(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Denied)
    return problem_response(problem.status, problem.code, problem.sentence)


async def _refused(_request: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Refused)
    return problem_response(STATUS_OF_CODE.get(problem.code, 409), problem.code, str(problem))


async def _core_refused(_request: Request, problem: Exception) -> JSONResponse:
    status, code = next(STATUS_OF[kind] for kind in type(problem).__mro__ if kind in STATUS_OF)
    return problem_response(status, code, str(problem))
