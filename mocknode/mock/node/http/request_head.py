"""The head of a request, by the rules of the real web server (Kestrel), without I/O.

What Kestrel refuses never reaches the application: the answer is a bare status and the end of the connection. What it allows
beyond the RFC (bare LF, methods in lower case, `Content-Length: +5`) is allowed here too. Measured on ASP.NET Core 10.0.12.
"""

import enum
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from mocknode.mock.node.web_server import WebServerLimits

Fields = list[tuple[bytes, bytes]]

# Kestrel's own version of RFC 9112: it takes all of a token's characters in a method, and fewer than RFC 3986 in an authority.
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_AUTHORITY: Final = re.compile(rb"[:.\-\[\]@0-9A-Za-z]+")
_HOST: Final = re.compile(rb"(?:[!$&'()\-.0-9A-Z_a-z~]+|\[[0-9A-Fa-f:.]{3,}\])(?::[0-9]+)?")
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?#]+)([^?]*)(.*)", re.DOTALL)
_URI_AUTHORITY: Final = re.compile(rb"(?:[^@]*@)?([0-9A-Za-z._\-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}
_PORT_MAX: Final = 65535
_LENGTH: Final = re.compile(rb"([+-]?)0*([0-9]{1,19})")
_LENGTH_MAX: Final = 2**63 - 1
# A version is eight bytes, known or not; a line whose last word is longer or shorter is no request line.
_VERSION_BYTES: Final = 8
_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_ESCAPES: Final = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")

# The usual form of a request line and of header fields, which needs no closer look; the rest of this module decides about any other.
_USUAL_LINE: Final = re.compile(rb"([A-Z]++) ((/[!-$&->@-~]*+)(?:\?([!-~]*+))?) HTTP/1\.1\r\n")
_USUAL_FIELDS: Final = re.compile(rb"(?:[!#-'*+\-.^_`|~0-9A-Za-z]++:[\t -~]*+\r\n)*+\r\n")
_USUAL_FIELD: Final = re.compile(rb"([^:]++):[\t ]*+((?:[\t -~]*[!-~])?)[\t ]*+\r\n")


class Refusal(enum.StrEnum):
    """Why the web server refused a request: the field `refused` of the journal."""

    REQUEST_LINE = "request-line"
    REQUEST_LINE_LONG = "request-line-too-long"
    TLS = "tls-on-the-plain-port"
    PREFACE = "http2-on-the-plain-port"
    VERSION = "http-version"
    TARGET = "target"
    TARGET_CONNECT = "target-only-for-connect"
    TARGET_OPTIONS = "target-only-for-options"
    HOST_MISSING = "host-missing"
    HOST_REPEATED = "host-repeated"
    HOST_INVALID = "host-invalid"
    HOST_OTHER = "host-differs-from-target"
    FIELD = "header-field"
    FIELDS_MANY = "header-fields-too-many"
    FIELDS_LONG = "header-fields-too-long"
    LENGTH = "content-length"
    LENGTH_REPEATED = "content-length-repeated"
    LENGTH_REQUIRED = "content-length-required"
    CODING = "transfer-encoding"
    CHUNK = "chunk"
    HEAD_SLOW = "head-too-slow"
    BODY_SLOW = "body-too-slow"


STATUSES: Final = {
    Refusal.TARGET_CONNECT: 405,
    Refusal.TARGET_OPTIONS: 405,
    Refusal.HEAD_SLOW: 408,
    Refusal.BODY_SLOW: 408,
    Refusal.REQUEST_LINE_LONG: 414,
    Refusal.FIELDS_MANY: 431,
    Refusal.FIELDS_LONG: 431,
    Refusal.VERSION: 505,
}
"""Statuses of refusals; any other is 400."""

_SINGLE: Final = {b"host": Refusal.HOST_REPEATED, b"content-length": Refusal.LENGTH_REPEATED}
ALLOWED: Final = {Refusal.TARGET_CONNECT: b"CONNECT", Refusal.TARGET_OPTIONS: b"OPTIONS"}


class RefusedRequestError(Exception):
    """The web server refuses a request.

    Attributes:
        reason: Why; it has the status.
    """

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason

    @property
    def status(self) -> int:
        """The status of the answer."""
        return STATUSES.get(self.reason, 400)


class Head:
    """A head, as far as it was read.

    Attributes:
        method: In upper case, as the server's routes compare methods without case.
        target: The target of the request line, as it was sent.
        path: Decoded and without dot segments; `query` is without its question mark.
        version: `1.1` or `1.0`.
        headers: Names in lower case, values without the space around them, in order.
        named: The first value of each name.
        length: Declared length of the body; None when it is chunked or there is none.
        keep_alive: Whether the connection lasts beyond the answer.
    """

    __slots__ = ("chunked", "fields_bytes", "headers", "keep_alive", "length", "method", "named", "path", "query", "target", "version")  # fmt: skip

    def __init__(self) -> None:
        self.method = self.path = ""
        self.target = self.query = b""
        self.version = "1.1"
        self.headers: Fields = []
        self.named: dict[bytes, bytes] = {}
        self.length: int | None = None
        self.chunked = False
        self.keep_alive = True
        self.fields_bytes = 0

    def read(self, data: bytes, limits: WebServerLimits) -> None:
        """Read a whole head, from its first byte to the end of its empty line.

        Raises:
            RefusedRequestError: the head keeps what was read before.
        """
        end = data.find(b"\n") + 1
        self.read_line(data[:end], limits)
        self.read_fields(data[end:], limits)
        self.conclude()

    def read_line(self, line: bytes, limits: WebServerLimits) -> None:
        """Read the request line, with its line end."""
        if len(line) > limits.line_bytes:
            raise RefusedRequestError(Refusal.REQUEST_LINE_LONG)
        usual = _USUAL_LINE.fullmatch(line)
        if usual is not None:
            method, self.target, path, query = usual.groups()
            self.method, self.query = method.decode(), query or b""
            self.path = decoded_path(path)
            return
        words = line.removesuffix(b"\n").removesuffix(b"\r").split(b" ", 2)
        if len(words) != 3 or not words[1] or not _METHOD.fullmatch(words[0]):
            raise RefusedRequestError(Refusal.REQUEST_LINE)
        method, self.target, version = words
        self.method = method.decode("ascii").upper()
        if len(version) != _VERSION_BYTES:
            raise RefusedRequestError(Refusal.REQUEST_LINE)
        if version not in _VERSIONS:
            raise RefusedRequestError(Refusal.VERSION)
        self.version = _VERSIONS[version]
        self._read_target()

    def _read_target(self) -> None:
        target = self.target
        if target.startswith(b"/"):
            path, _, self.query = target.partition(b"?")
            self.path = decoded_path(path)
        elif target == b"*":
            if self.method != "OPTIONS":
                raise RefusedRequestError(Refusal.TARGET_OPTIONS)
        elif match := _ABSOLUTE.fullmatch(target):
            if _normal_authority(match[1], match[2]) is None:
                raise RefusedRequestError(Refusal.TARGET)
            path = match[3].partition(b"#")[0] or b"/"
            self.path, self.query = decoded_path(path, slashes=True), match[4][1:]
        elif not _AUTHORITY.fullmatch(target):
            raise RefusedRequestError(Refusal.TARGET)
        elif self.method != "CONNECT":
            raise RefusedRequestError(Refusal.TARGET_CONNECT)
        if not target.isascii() or b"\0" in target:
            raise RefusedRequestError(Refusal.TARGET)

    def read_fields(self, data: bytes, limits: WebServerLimits) -> None:
        """Read header fields or trailers, each with its line end; an empty line ends them."""
        if not self.headers and _USUAL_FIELDS.fullmatch(data):
            self._take_usual(data, limits)
            return
        lines = data.split(b"\n")
        lines.pop()
        for line in lines:
            bare = line[:-1] if line.endswith(b"\r") else line
            if not bare:
                break
            self.fields_bytes += len(line) + 1
            if self.fields_bytes > limits.fields_bytes:
                raise RefusedRequestError(Refusal.FIELDS_LONG)
            name, colon, value = bare.partition(b":")
            if not (name and colon) or b" " in name or b"\t" in name:
                raise RefusedRequestError(Refusal.FIELD)
            if b"\r" in bare or b"\0" in bare or not (bare.isascii() or (name.isascii() and _is_utf8(value))):
                raise RefusedRequestError(Refusal.FIELD)
            name, value = name.lower(), value.strip(b" \t")
            self.headers.append((name, value))
            if name not in self.named:
                self.named[name] = value
            elif name in _SINGLE:
                raise RefusedRequestError(_SINGLE[name])
            if name == b"content-length":
                self.length = _length(value)
            if len(self.headers) > limits.fields:
                raise RefusedRequestError(Refusal.FIELDS_MANY)

    def _take_usual(self, data: bytes, limits: WebServerLimits) -> None:
        """Take header fields of the usual form, all of them at once."""
        self.fields_bytes = len(data) - len(b"\r\n")
        if self.fields_bytes > limits.fields_bytes:
            raise RefusedRequestError(Refusal.FIELDS_LONG)
        self.headers = headers = [(name.lower(), value) for name, value in _USUAL_FIELD.findall(data)]
        self.named = named = dict(headers)
        if len(named) != len(headers):
            self.named = dict(reversed(headers))
            names = [name for name, _ in headers]
            for name, reason in _SINGLE.items():
                if names.count(name) > 1:
                    raise RefusedRequestError(reason)
        if b"content-length" in named:
            self.length = _length(named[b"content-length"])
        if len(headers) > limits.fields:
            raise RefusedRequestError(Refusal.FIELDS_MANY)

    def conclude(self) -> None:
        """Judge the head as a whole: its host, and how its body is delimited."""
        self._check_host()
        old = self.version == "1.0"
        self.keep_alive = not old
        if b"connection" in self.named:
            options = tokens(self._values(b"connection"))
            self.keep_alive = (not old or b"keep-alive" in options) and b"close" not in options
        if b"transfer-encoding" in self.named:
            codings = tokens(self._values(b"transfer-encoding"))
            if not codings or codings[-1] != b"chunked":
                raise RefusedRequestError(Refusal.CODING)
            self.chunked = True
            if self.length is not None:
                self.length, self.keep_alive = None, False
        elif self.length is None and old and self.method in ("POST", "PUT"):
            raise RefusedRequestError(Refusal.LENGTH_REQUIRED)

    def _values(self, name: bytes) -> bytes:
        """Return the values of a header whose values are lists, as one."""
        if len(self.named) == len(self.headers):
            return self.named[name]
        return b",".join(value for key, value in self.headers if key == name)

    def _check_host(self) -> None:
        host = self.named.get(b"host")
        if host is None:
            if self.version == "1.0":
                return
            raise RefusedRequestError(Refusal.HOST_MISSING)
        if self.target[:1] not in (b"/", b"*") and not self._names_target(host):
            raise RefusedRequestError(Refusal.HOST_OTHER)
        if host and not _HOST.fullmatch(host):
            raise RefusedRequestError(Refusal.HOST_INVALID)

    def _names_target(self, host: bytes) -> bool:
        """Return whether the host is the one of the target, which is an authority or a whole URI."""
        match = _ABSOLUTE.fullmatch(self.target)
        if match is None:
            return host == self.target
        authority = _normal_authority(match[1], match[2]) or b""
        default = b"%b:%d" % (authority, _DEFAULT_PORTS[match[1]])
        return host == authority or (not re.search(rb":[0-9]+\Z", authority) and host == default)

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue`, which HTTP/1.0 does not have."""
        return self.version == "1.1" and self.named.get(b"expect", b"").lower() == b"100-continue"


def tokens(value: bytes) -> list[bytes]:
    """Return the words of a list, in lower case."""
    return [word for part in value.lower().split(b",") if (word := part.strip(b" \t"))]


def decoded_path(path: bytes, *, slashes: bool = False) -> str:
    """Return a path with its escapes decoded and its dot segments resolved.

    An escape that is none, or no UTF-8, stays as it is. So does `%2F`, unless `slashes`, which is the rule of a whole URI.

    Raises:
        RefusedRequestError: the path has a NUL or is not ASCII.
    """
    if not path.isascii() or b"\0" in path:
        raise RefusedRequestError(Refusal.TARGET)
    if b"%" in path:
        path = _ESCAPES.sub(lambda match: _decoded(match[0], slashes=slashes), path)
        if b"\0" in path:
            raise RefusedRequestError(Refusal.TARGET)
    text = path.decode()
    return _without_dots(text) if "/." in text else text


def _decoded(escapes: bytes, *, slashes: bool) -> bytes:
    """Return a run of escapes with every whole UTF-8 character in it decoded."""
    raw, parts, at = unquote_to_bytes(escapes), [], 0
    while at < len(raw):
        size = next((n for n in range(1, 5) if _is_utf8(raw[at : at + n]) and at + n <= len(raw)), 0)
        if not size or (raw[at : at + 1] == b"/" and not slashes):
            parts.append(escapes[3 * at : 3 * at + 3])
            at += 1
        else:
            parts.append(raw[at : at + size])
            at += size
    return b"".join(parts)


def _without_dots(path: str) -> str:
    """Return a path without `.` and `..`; RFC 3986, 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _normal_authority(scheme: bytes, authority: bytes) -> bytes | None:
    """Return a URI's authority as the server compares it: no user, lower case, no default port; None when it is none."""
    match = _URI_AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    port = int(match[2] or _DEFAULT_PORTS[scheme])
    if port > _PORT_MAX:
        return None
    return match[1].lower() if port == _DEFAULT_PORTS[scheme] else b"%b:%d" % (match[1].lower(), port)


def _length(value: bytes) -> int:
    """Return a declared length; a sign is allowed, as long as the number is not negative."""
    match = _LENGTH.fullmatch(value)
    length = int(match[2]) if match else _LENGTH_MAX + 1
    if match is None or length > _LENGTH_MAX or (length and match[1] == b"-"):
        raise RefusedRequestError(Refusal.LENGTH)
    return length


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
