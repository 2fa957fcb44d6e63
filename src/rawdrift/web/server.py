"""The addresses of the page, what is let in, and what goes out with every answer.

Only requests that name this machine are answered, so that no other site reaches it under a name of
its own. What changes or reads anything is a POST with a token that is in the page alone. Pages run
our script and no other; a report runs none.
"""

import asyncio
import contextvars
import ipaddress
import json
import secrets
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rawdrift import __version__, imports
from rawdrift.checks import InputError
from rawdrift.web.answers import Network
from rawdrift.web.explore import Explorer, View, dumps, questions
from rawdrift.web.folder import Folder
from rawdrift.web.runs import Runs

PORT = 8765
_HERE = Path(__file__).parent
_LONGEST = 1 << 20  # bytes of a question
_SECONDS = 10.0  # that a question may take to arrive
_STATIC = {
    "common.js": "text/javascript",
    "explore.js": "text/javascript",
    "runs.js": "text/javascript",
    "web.css": "text/css",
}
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "sandbox allow-downloads allow-popups; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; frame-ancestors 'self'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def app(
    folder: Folder,
    network: Network | None = None,
    hosts: tuple[str, ...] = (),
    boxes: Sequence[str] = (),
) -> Any:
    """Return the ASGI application. hosts: names and addresses that requests may give beside those
    of this machine; "*" allows every address, but no further name. boxes: see `Explorer`."""
    starlette = imports.need("starlette.applications", "web")
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    explorer, runs = Explorer(folder, network, boxes), Runs(folder)
    token = secrets.token_urlsafe(24)
    # Views while sliders move are not held up by exact ones, by answers of a network and by files
    # that are read.
    views = ThreadPoolExecutor(2, "view")
    others = ThreadPoolExecutor(2, "other")
    pages = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    def _error(text: str, status: int) -> Response:
        return JSONResponse({"error": text}, status)

    def page(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            text = pages.get_template(name).render(
                token=token,
                version=__version__,
                root=folder.root.name or str(folder.root),
                run=request.query_params.get("run", ""),
            )
            headers = {"Content-Security-Policy": _PAGE_POLICY}
            return Response(text, media_type="text/html", headers=headers)

        return show

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "report.css":
            path, kind = _HERE.parent / "report" / "report.css", "text/css"
        elif name in _STATIC:
            path, kind = _HERE / "static" / name, _STATIC[name]
        else:
            return _error("there is no such file", 404)
        return Response(path.read_bytes(), media_type=kind)

    async def report(request: Request) -> Response:
        try:
            content = await _in(others, runs.page, request.query_params.get("run", ""))
        except (InputError, OSError) as error:
            return Response(explorer.clean(str(error)), 404, media_type="text/plain")
        headers = {"Content-Security-Policy": _REPORT_POLICY}
        return Response(content, media_type="text/html", headers=headers)

    def question(name: str, kind: type[Any] | None) -> Callable[[Request], Awaitable[Response]]:
        method: Any = getattr(runs if kind is None else explorer, name)

        async def ask(request: Request) -> Response:
            key = request.headers.get("x-rawdrift", "").encode("latin-1")
            if not secrets.compare_digest(key, token.encode()):
                return _error("the server was started anew; load the page again", 403)
            try:
                async with asyncio.timeout(_SECONDS):
                    body = await _body(request)
            except (TimeoutError, ValueError) as error:
                return _error(f"the question is too long or too slow: {error}", 413)
            try:
                message = msgspec.json.decode(body or b"{}", type=kind or dict[str, str])
                given = (message,) if kind else tuple(message.values())[:1]
                pool = views if isinstance(message, View) and not message.exact else others
                found = await _in(pool, method, *given)
            except (InputError, msgspec.MsgspecError, RecursionError) as error:
                return _error(explorer.clean(str(error)), 400)
            except (OSError, MemoryError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                return _error(f"this can't be read or written: {reason}", 400)
            except Exception as error:
                traceback.print_exc(file=sys.stderr)
                told = f"a bug of rawdrift, please report it: {type(error).__name__}: {error}"
                return _error(explorer.clean(told), 500)
            if isinstance(found, tuple):
                about, content = found
                return Response(
                    content,
                    media_type="application/octet-stream",
                    headers={"X-About": dumps(about)},
                )
            return JSONResponse(found)

        return ask

    asked = [*questions(), ("runs", None), ("run", None)]
    methods = {"runs": "list", "run": "one"}
    routes = [
        Route("/", page("explore.html.j2")),
        Route("/runs", page("runs.html.j2")),
        Route("/run", page("run.html.j2")),
        Route("/report", report),
        Route("/static/{name}", static),
        *(
            Route(f"/ask/{name}", question(methods.get(name, name), kind), methods=["POST"])
            for name, kind in asked
        ),
    ]
    return Guard(starlette.Starlette(routes=routes), hosts)


async def _in(pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread, with what the command has allowed to import."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, lambda: context.run(function, *arguments))


async def _body(request: Any) -> bytes:
    """Return what was sent. Raises ValueError if it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST:
            raise ValueError(f"more than {_LONGEST} bytes")
    return body


class Guard:
    """Refuses what doesn't come from a page of ours on this machine, and adds headers."""

    def __init__(self, inner: Any, hosts: tuple[str, ...]):
        self._inner, self._hosts = inner, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin")
        site = headers.get(b"sec-fetch-site", b"same-origin")
        refused = ""
        if not self._is_ours(host):
            refused = "this page answers to its own address only"
        elif origin not in (None, f"{scope['scheme']}://{host}".encode("latin-1")) or (
            scope["method"] == "POST" and site not in (b"same-origin", b"none")
        ):
            refused = "this page answers no other site"
        elif scope["method"] not in ("GET", "HEAD", "POST"):
            refused = "this page answers GET and POST"

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = [(n.lower().encode(), v.encode()) for n, v in _HEADERS.items()]
                message["headers"] = [
                    *message["headers"], *(one for one in more if one[0] not in present)
                ]  # fmt: skip
            await send(message)

        if refused:
            body = json.dumps({"error": refused}).encode()
            kind = [(b"content-type", b"application/json")]
            await with_headers({"type": "http.response.start", "status": 403, "headers": kind})
            await send({"type": "http.response.body", "body": body})
            return
        await self._inner(scope, receive, with_headers)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition("]")[0].removeprefix("[") or host.partition(":")[0]
        if name in ("localhost", *self._hosts):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback or "*" in self._hosts
        except ValueError:
            return False


def serve(
    folder: Path,
    network: Network | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    boxes: Sequence[str] = (),
) -> None:
    """Serve the page until it is stopped. port: 0 for any that is free.

    Raises InputError if the port is taken.
    """
    uvicorn = imports.need("uvicorn", "web")
    hosts = ("*", socket.gethostname().lower()) if host in ("0.0.0.0", "::") else (host,)
    made = app(Folder(folder), network, hosts, boxes)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{host} port {port} can't be used: {reason}; give another --port, or 0 for any"
        ) from None
    address = f"[{host}]" if ":" in host else host
    print(f"rawdrift: http://{address}:{listening.getsockname()[1]}/ shows {folder}", flush=True)
    if not _is_loopback(host):
        print(
            "rawdrift: check: everyone who reaches this machine can see the folder and save ISP "
            "files in it",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        made, log_level="warning", access_log=False, server_header=False, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
