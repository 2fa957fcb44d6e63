"""Downloads that resume where they were broken off, and that always end, which pooch's don't."""

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from rawdrift import __version__
from rawdrift.checks import InputError

_LONGEST_WAIT = 60  # seconds for which a busy server may ask


class _Patient(Retry):
    """A busy server (429, 503) says when to come back, and is obeyed within reason."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            asked = super().get_retry_after(response)
        except (InvalidHeader, ValueError, OverflowError):
            return None
        return None if asked is None else min(asked, _LONGEST_WAIT)


RETRY: Retry = _Patient(
    total=5,
    connect=1,
    backoff_factor=1,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
)
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
ANSWER = 600  # seconds until an answer begins, all tries together
RATE, WINDOW = 1024, 60  # bytes a second that must come, on average over so many seconds
MOST_TEXT = 1 << 23  # bytes of an answer that is read into memory
_STALLED = 3  # connections in a row that break before they bring a piece
_CHUNK = 1 << 16  # bytes of a piece


def open_session() -> requests.Session:
    """Return an HTTP session that is patient with busy servers."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=RETRY))
    session.headers["User-Agent"] = f"rawdrift/{__version__}"
    return session


class Resuming:
    """A downloader for `pooch.retrieve` that keeps partial files and downloads only the rest.

    part: the partial file, which is moved once it has `size` bytes. A server that does not know
        ranges (RFC 9110, section 14) sends all of it again.
    on_bytes: called with the number of bytes that have come; negative if it starts over.
    """

    def __init__(
        self, session: requests.Session, part: Path, size: int, on_bytes: Callable[[int], object]
    ):
        self.session, self.part, self.size, self.on_bytes = session, part, size, on_bytes

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` into `output_file`. Raise InputError if that fails."""
        if self._have() > self.size:  # useless
            self.part.unlink()
        self.on_bytes(self._have())
        stalled, most = 0, self._have()
        while (have := self._have()) < self.size:
            try:
                self._download_rest(url, have)
                reason = "the connection was closed"
            except requests.RequestException as error:
                reason = explain(error)
                if isinstance(error, requests.HTTPError | TooSlow):
                    stalled = _STALLED + 1
            came = self._have() - most >= _CHUNK  # more than ever: servers may start over
            most = max(most, self._have())
            stalled = 0 if came and stalled <= _STALLED else stalled + 1
            if stalled >= _STALLED:
                raise InputError(
                    f"{url} can't be downloaded: {reason}; {self._have()} of {self.size} bytes are "
                    f"kept: the same command resumes from there"
                )
        self.part.replace(output_file)

    def _download_rest(self, url: str, have: int) -> None:
        headers = {"Range": f"bytes={have}-"} if have else {}
        with get(self.session, url, headers) as response:
            beyond = response.status_code == requests.codes.requested_range_not_satisfiable
            if not beyond:
                response.raise_for_status()
            is_rest = re.match(rf"bytes {have}-", response.headers.get("Content-Range", ""))
            if have and not (response.status_code == requests.codes.partial_content and is_rest):
                self.part.unlink()
                self.on_bytes(-have)
                have = 0
            if beyond:
                return
            with self.part.open("ab") as file:
                for chunk in pieces(response):
                    have += len(chunk)
                    if have > self.size:
                        raise InputError(
                            f"{url} sends more than the {self.size} bytes that its record declares"
                        )
                    file.write(chunk)
                    self.on_bytes(len(chunk))

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


class TooSlow(requests.Timeout):
    """A server sends so little that it would never end."""


def get(
    session: requests.Session, url: str, headers: dict[str, str] | None = None
) -> requests.Response:
    """Return the answer of a server, whose body is read by `pieces`.

    The body is asked for without compression, because sizes and ranges count the bytes of the file
    itself. Raises requests.RequestException, also if no answer begins within `ANSWER` seconds.
    """
    asked = {"Accept-Encoding": "identity", **(headers or {})}
    answers: queue.Queue[requests.Response | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(session.get(url, headers=asked, stream=True, timeout=TIMEOUT))
        except Exception as error:
            answers.put(error)

    # Time limits of sockets begin anew with each byte.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER)
    except queue.Empty:
        raise TooSlow from None
    if isinstance(answer, HTTPError | UnicodeError):  # that requests lets through
        raise requests.ConnectionError from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of a body as they come.

    Raises requests.RequestException, also if fewer than `RATE` bytes a second come.
    """
    since, count = time.monotonic(), 0
    try:
        while piece := response.raw.read1(_CHUNK, decode_content=False):
            yield piece
            count += len(piece)
            if (now := time.monotonic()) - since > WINDOW:
                if count < RATE * (now - since):
                    raise TooSlow
                since, count = now, 0
    except ReadTimeoutError as error:
        raise requests.ReadTimeout from error
    except (HTTPError, ValueError) as error:
        raise requests.exceptions.ChunkedEncodingError from error


def text(response: requests.Response) -> bytes:
    """Return a body of at most `MOST_TEXT` bytes. Raises InputError for more."""
    body = bytearray()
    for piece in pieces(response):
        body += piece
        if len(body) > MOST_TEXT:
            raise InputError(f"{response.url} sends more than {MOST_TEXT >> 20} MiB")
    return bytes(body)


def explain(error: requests.RequestException) -> str:
    """Return what went wrong, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, TooSlow):
        return f"the server sends less than {RATE} bytes a second"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return f"the connection broke ({type(error).__name__})"
