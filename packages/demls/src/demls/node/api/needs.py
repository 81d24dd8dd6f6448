"""What do routes need? The node behind the API and the keeper of its doors, from the application's state."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from demls.node.api.access import Access
from demls.node.service import Service


def _service(connection: HTTPConnection) -> Service:
    service: Service = connection.app.state.service
    return service


def _access(connection: HTTPConnection) -> Access:
    access: Access = connection.app.state.access
    return access


NeedsService = Annotated[Service, Depends(_service)]
NeedsAccess = Annotated[Access, Depends(_access)]
