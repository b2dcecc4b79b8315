"""Errors of a server that pass: those for which the same request, sent again, may well be answered."""

from collections.abc import Iterator

_PASSING_CODES = {
    *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded"),
    *("InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted"),
    *("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),  # the content was damaged on its way there
}
_PASSING_STATUS = (408, 429, 500, 502, 503, 504)

_EXPIRED_CODES = {
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
    *("400", "403"),  # a server answers HEAD without a body, which would hold the code
}

_PASSING_CLASSES = {
    "ConnectionError",  # Python's own and botocore's: refused, reset, a name that is not resolved
    "TimeoutError",
    "HTTPClientError",  # botocore: timeouts, closed connections, a body that breaks off
    "IncompleteReadError",
    "ResponseParserError",
    "ClientConnectionError",  # aiohttp
    "ClientPayloadError",
}
_LASTING_CLASSES = {"SSLError", "ProxyConnectionError", "InvalidProxiesConfigError"}


class DamagedOnItsWayError(ConnectionError):
    """The content of an object that arrived is not the content that the server has."""


def is_passing(error: BaseException) -> bool:
    """Whether an error passes by itself: an outage, an overload, a connection that broke, content that was damaged."""
    for cause in _chain(error):
        code, status = _answer(cause)
        if status:
            return status in _PASSING_STATUS or code in _PASSING_CODES
        names = {each.__name__ for each in type(cause).__mro__}
        if names & _LASTING_CLASSES:
            return False
        if names & _PASSING_CLASSES:
            return True
    return False


def is_expired(error: BaseException) -> bool:
    """Whether the server may take other credentials than those that were used, which were valid once."""
    return any(_answer(cause)[0] in _EXPIRED_CODES for cause in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its cause, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _answer(error: BaseException) -> tuple[str, int]:
    """The code and the HTTP status of the server's answer that an error of botocore holds; empty and 0 without one."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", 0
    code = response.get("Error", {}).get("Code", "")
    return str(code), int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
