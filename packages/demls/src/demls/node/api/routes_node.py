"""The routes about the node itself: session, state, contact, health and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from demls.api.models import Health, NewSession, NodeInfo, Policy, Sharable
from demls.node.api.access import SESSION_SECONDS
from demls.node.api.needs import NeedsAccess, NeedsService

router = APIRouter(tags=["node"])


@router.post("/session", status_code=204)
async def open_session(body: NewSession, response: Response, access: NeedsAccess) -> None:
    """Exchange the one-time code of the page's address for a session cookie."""
    response.set_cookie(
        access.cookie_name,
        access.exchange(body.code),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        path="/",
    )


@router.post("/codes", status_code=201)
async def new_code(access: NeedsAccess) -> NewSession:
    """A fresh one-time code for the page's address."""
    return NewSession(code=access.new_code())


@router.get("/node")
async def node(service: NeedsService) -> NodeInfo:
    return service.info()


@router.get("/contact")
async def contact(service: NeedsService) -> Sharable:
    """What to hand out so that others can invite you."""
    return service.contact()


@router.get("/presets")
async def presets(service: NeedsService) -> list[Policy]:
    """The policies that a new group can begin with."""
    return service.presets()


@router.get("/health")
async def health(service: NeedsService, response: Response) -> Health:
    """Is the node at work? 503 if not. Needs no credentials."""
    answer = service.health()
    if not answer.ok:
        response.status_code = 503
    return answer


@router.get(
    "/metrics",
    response_model=None,
    responses={200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(service: NeedsService) -> PlainTextResponse:
    """Counters in the Prometheus text format."""
    return PlainTextResponse(await service.metrics())
