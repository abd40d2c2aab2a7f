"""The page that ``/schema`` shows: Swagger UI from files installed with the service, so that a browser asks no other host."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from litestar import Router
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.static_files import create_static_files_router

FILES = "/schema-files"
_PACKAGE = "swagger_ui"


def page() -> SwaggerRenderPlugin:
    """The page, with ``Try it out`` for every route."""
    bundle = f"{FILES}/swagger-ui-bundle.js"
    return SwaggerRenderPlugin(
        js_url=bundle,
        css_url=f"{FILES}/swagger-ui.css",
        # The bundle holds the preset too, and the page takes it from there.
        standalone_preset_js_url=bundle,
        favicon=f"<link rel='icon' type='image/png' href='{FILES}/favicon-32x32.png'>",
    )


def page_files() -> Router:
    """Serves what the page refers to.

    The files are those of a package that keeps Swagger UI as released; its code is never imported.

    Raises:
        ModuleNotFoundError: if the package is not installed.
    """
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{_PACKAGE} is not installed: the page at /schema takes its files from it")
    return create_static_files_router(FILES, [Path(found.origin).with_name("static")], include_in_schema=False)
