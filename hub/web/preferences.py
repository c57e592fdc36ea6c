"""What a reader chooses for this browser alone: the language and the theme of every page. Nobody need be signed in."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from starlette.responses import RedirectResponse, Response

from hub.core.errors import NotFoundError
from hub.core.policy import public
from hub.web.kit import THEMES, inside

if TYPE_CHECKING:
    from hub.web.kit import WebKit


def add_routes(router: APIRouter, web: "WebKit") -> None:
    """Add the routes."""

    @router.get("/lang/{lang}")
    @public("the language of a page is no secret")
    async def language(lang: str, back: Annotated[str, Query(alias="next")] = "/") -> Response:
        if lang not in web.shared.words.languages:
            raise NotFoundError(f"There is no language {lang!r}.", "Choose one of the languages that the page offers.")
        response = RedirectResponse(inside(back), 303)
        web.remember_language(response, lang)
        return response

    @router.get("/theme/{theme}")
    @public("the theme of a page is no secret")
    async def theme(theme: str, back: Annotated[str, Query(alias="next")] = "/") -> Response:
        if theme not in THEMES:
            raise NotFoundError(f"There is no theme {theme!r}.", f"Choose one of {', '.join(THEMES)}.")
        response = RedirectResponse(inside(back), 303)
        web.remember_theme(response, theme)
        return response
