"""Downloads that resume where they were broken off, which pooch can't."""

import re
from collections.abc import Callable
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from rawdrift import __version__
from rawdrift.checks import InputError

# A busy server (429, 503) says when to come back, and is obeyed.
RETRY = Retry(
    total=5,
    connect=1,
    backoff_factor=1,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
)
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
_STALLED = 3  # connections in a row that break before they bring anything
_CHUNK = 1 << 16  # bytes; a broken connection loses less


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
        stalled = 0
        while (before := self._have()) < self.size:
            try:
                self._download_rest(url, before)
                reason = "the connection was closed"
            except requests.RequestException as error:
                reason = explain(error)
                if isinstance(error, requests.HTTPError):
                    stalled = _STALLED
            stalled = 0 if self._have() > before else stalled + 1
            if stalled >= _STALLED:
                raise InputError(
                    f"{url} can't be downloaded: {reason}; {self._have()} of {self.size} bytes are "
                    f"kept: the same command resumes from there"
                )
        self.part.replace(output_file)

    def _download_rest(self, url: str, have: int) -> None:
        # Without compression, because sizes and ranges count the bytes of the file itself.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
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
                for chunk in response.iter_content(_CHUNK):
                    have += len(chunk)
                    if have > self.size:
                        raise InputError(
                            f"{url} sends more than the {self.size} bytes that its record declares"
                        )
                    file.write(chunk)
                    self.on_bytes(len(chunk))

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def explain(error: requests.RequestException) -> str:
    """Return what went wrong, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return f"the connection broke ({type(error).__name__})"
