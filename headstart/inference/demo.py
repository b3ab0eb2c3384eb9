"""`headstart demo`: the page of a classifier, served on this machine, every file decoded and classified by Python.

Nothing that comes in is kept. What a client does wrong is answered with 4xx and one line: docs/decisions/demo.md
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from headstart.data.decode import decode, unfitted
from headstart.errors import HeadstartError
from headstart.inference.doubt import Doubts
from headstart.inference.export import about_of
from headstart.inference.predict import Trained
from headstart.inference.web import page_served
from headstart.runtime.console import say
from headstart.runtime.text import shown

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from headstart.inference.classifier import Classifier

    Handle = Callable[[Request], Awaitable[Response]]

HOST, PORT = "127.0.0.1", 7860
MOST_BYTES = 20_000_000  # of a file
MOST_PIXELS = 50_000_000  # of a picture: half of what training takes, as it comes from whoever reaches the page
READING = 8  # files that are received at a time: with MOST_BYTES the memory that they take
WAITING = 32  # requests in hand, from which on others are asked to come again
READ_SECONDS = 30  # that a file may take to arrive
UNPROCESSABLE = 422  # the status of a file that gives no image
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RefusedError(HeadstartError):
    """What a client is answered in place of a result. status: of HTTP, 4xx. again: the header that says when."""

    def __init__(self, status: int, line: str, again: Mapping[str, str] = MappingProxyType({})):
        super().__init__(line)
        self.status, self.again = status, again


def serve(folder: Path, host: str = HOST, port: int = PORT) -> None:
    """Serve the page of a run, or of what a comparison recommends, until Ctrl-C; the address is said.

    port: 0 takes one that is free. Raises HeadstartError where a package is missing or the port cannot be had.
    """
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise HeadstartError(f"the demo needs {' and '.join(missing)}: pip install 'headstart[demo]'")
    import uvicorn

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except (OSError, TypeError, UnicodeError) as error:  # TypeError: of a host that no name can be
        why = str(getattr(error, "strerror", None) or error).split(" (while")[0]
        raise HeadstartError(
            f"port {port} of {shown(host)} cannot be had ({why}): name another with --port, or --host"
        ) from None
    with listening:
        served = application(folder, host)
        own = f"[{host}]" if ":" in host else host
        say(f"http://{own}:{listening.getsockname()[1]}  (Ctrl-C ends it)")
        config = uvicorn.Config(
            served, log_level="warning", server_header=False, timeout_keep_alive=5, timeout_graceful_shutdown=3
        )
        with suppress(KeyboardInterrupt):  # uvicorn ends what is in hand, then raises it once more
            uvicorn.Server(config).run(sockets=[listening])
    say("ended; nothing that was given is kept")


def application(folder: Path, host: str = HOST) -> Starlette:
    """What answers: the page at /, and POST of a file to /classify and, where there are heat maps, /heat?class=N.

    host: the name that the server is reached by, beside IP addresses and localhost.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    demo = Demo(folder, host)
    routes = [
        Route("/", demo.guarded(demo.page)),
        Route("/classify", demo.guarded(demo.classify), methods=["POST"]),
        Route("/heat", demo.guarded(demo.heat), methods=["POST"]),
    ]
    return Starlette(routes=routes[: 3 if demo.has_heat else 2])


class Demo:
    """A classifier behind HTTP: READING files are received at a time, one is computed, further ones wait, and more than
    WAITING are refused."""

    def __init__(self, folder: Path, host: str):
        self.trained = Trained(folder)
        self.names = {"localhost", host.lower(), socket.gethostname().lower()}
        self.has_heat = find_spec("pytorch_grad_cam") is not None
        about = about_of(self.trained.run, self.trained.classifier)
        self.doubts = Doubts.from_json(about["predict"])
        self.html, self.policy = page_served(self.trained.run, about, MOST_BYTES, self.has_heat)
        self.in_hand = 0
        self.reading = asyncio.Semaphore(READING)
        self.computing = ThreadPoolExecutor(1)  # torch has all cores for one file, and its threads belong to a thread

    def guarded(self, handle: Handle) -> Handle:
        """The same handler for our own page alone; what is wrong with a request is answered in JSON."""
        from starlette.responses import JSONResponse

        async def answered(request: Request) -> Response:
            try:
                refuse_strangers(request.headers, self.names)
                response = await handle(request)
            except HeadstartError as error:
                status, again = (error.status, error.again) if isinstance(error, RefusedError) else (UNPROCESSABLE, {})
                response = JSONResponse({"error": str(error)}, status, again)
            response.headers.update(HEADERS)
            return response

        return answered

    async def page(self, request: Request) -> Response:
        """GET /"""
        from starlette.responses import HTMLResponse

        return HTMLResponse(self.html, headers={"Content-Security-Policy": f"{self.policy}; frame-ancestors 'none'"})

    async def classify(self, request: Request) -> Response:
        """POST /classify: `answer` as JSON."""
        from starlette.responses import JSONResponse

        return JSONResponse(await self._computed(request, partial(answer, self.trained, self.doubts)))

    async def heat(self, request: Request) -> Response:
        """POST /heat?class=N: `heat_map`."""
        from starlette.responses import Response

        taken, classes = request.query_params.get("class", ""), len(self.trained.class_names)
        if not (taken.isdecimal() and len(taken) < 9 and int(taken) < classes):
            raise RefusedError(400, f"class must be a number from 0 to {classes - 1}")
        made = await self._computed(request, partial(heat_map, self.trained.classifier, taken=int(taken)))
        return Response(made, media_type="image/png")

    async def _computed(self, request: Request, compute: Callable[[bytes], Any]) -> Any:
        if self.in_hand >= WAITING:
            raise RefusedError(429, "too many pictures at once: try again in a moment", {"Retry-After": "1"})
        self.in_hand += 1
        try:
            async with self.reading:
                data = await received(request)
                return await asyncio.get_running_loop().run_in_executor(self.computing, compute, data)
        finally:
            self.in_hand -= 1


async def received(request: Request) -> bytes:
    """The body of a request, MOST_BYTES at most and within READ_SECONDS."""
    from starlette.requests import ClientDisconnect

    too_large = RefusedError(413, f"a file of more than {MOST_BYTES / 1e6:g} MB")
    if int(request.headers.get("content-length", 0)) > MOST_BYTES:  # a number: the parser of HTTP refuses others
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > MOST_BYTES:
                    raise too_large
    except TimeoutError:
        raise RefusedError(408, f"the file did not arrive within {READ_SECONDS} s") from None
    except ClientDisconnect:
        raise RefusedError(400, "the file broke off") from None
    return bytes(data)


def answer(trained: Trained, doubts: Doubts, data: bytes) -> dict[str, Any]:
    """What the page shows of a file; DecodeError where it gives no image."""
    image = decode(data, MOST_PIXELS, trained.classifier.whites).image
    [probabilities], [unlike] = trained.probabilities(np.stack([trained.square(image)]))
    said = doubts.of_picture(probabilities, bool(unlike))
    return {"probabilities": probabilities.tolist(), "width": image.width, "height": image.height, "doubts": said}


def heat_map(classifier: Classifier, data: bytes, taken: int) -> bytes:
    """A PNG of a file's picture as the network sees it, warm where it speaks for a class."""
    from headstart.inference.explain import blend, heatmaps

    image = decode(data, MOST_PIXELS, classifier.whites).image
    square = classifier.square(image)
    warm = blend(square, heatmaps(classifier, square[None], [taken])[0])
    file = io.BytesIO()
    Image.fromarray(unfitted(warm, image.height, image.width, classifier.fit)).save(file, "PNG")
    return file.getvalue()


def refuse_strangers(headers: Mapping[str, str], names: Collection[str]) -> None:
    """Raise RefusedError for a request by a name that is neither an address nor one of ours, by which another site may
    reach us (DNS rebinding), and for one that another site's page makes."""
    host = headers.get("host", "")
    name = _host_of(host)
    if not (_is_address(name) or name in names):
        raise RefusedError(421, "this server has another name: open the address that `headstart demo` printed")
    if headers.get("origin", f"//{host}").split("//")[-1] != host:
        raise RefusedError(403, "only this server's own page may ask it")


def _host_of(header: str) -> str:
    """A Host header without its port and brackets."""
    if header.startswith("["):
        return header[1:].split("]")[0]
    return header.rsplit(":", 1)[0].lower() if ":" in header else header.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
