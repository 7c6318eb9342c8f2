"""What callers sent as a trace, without what OpenTelemetry would complain of in the log. Pure.

Who sends it decides what is in it, so that a complaint is text of theirs in the log of ours.
"""

import re
from collections.abc import Mapping

# https://www.w3.org/TR/trace-context/
_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x20-\x7e]*)?")
_LONGEST_PARENT = 512
_STATE_KEY = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_STATE_MEMBER = re.compile(
    rf"(?P<key>{_STATE_KEY})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_STATE_MEMBERS, _LONGEST_STATE = 32, 8192

# https://www.w3.org/TR/baggage/
_BAGGAGE_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAGGAGE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_MOST_BAGGAGE_MEMBERS, _LONGEST_BAGGAGE_MEMBER, _LONGEST_BAGGAGE = 180, 4096, 8192


def well_formed(carrier: Mapping[str, str]) -> dict[str, str]:
    """The same without a `traceparent`, `tracestate` or `baggage` that is not what it should be."""
    checks = {"traceparent": _is_parent, "tracestate": _is_state, "baggage": _is_baggage}
    return {
        name: value
        for name, value in carrier.items()
        if (check := checks.get(name)) is None or check(value)
    }


def _is_parent(text: str) -> bool:
    return len(text) <= _LONGEST_PARENT and _PARENT.fullmatch(text) is not None


def _is_state(text: str) -> bool:
    if len(text) > _LONGEST_STATE:
        return False
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    found = [_STATE_MEMBER.fullmatch(member) for member in members]
    keys = [match["key"] for match in found if match is not None]
    return len(keys) == len(members) <= _MOST_STATE_MEMBERS and len(set(keys)) == len(keys)


def _is_baggage(text: str) -> bool:
    members = text.split(",")
    return (
        len(text) <= _LONGEST_BAGGAGE
        and len(members) <= _MOST_BAGGAGE_MEMBERS
        and all(map(_is_baggage_member, members))
    )


def _is_baggage_member(text: str) -> bool:
    pair, *properties = text.split(";")
    return (
        len(text) <= _LONGEST_BAGGAGE_MEMBER
        and "=" in pair
        and all(map(_is_baggage_pair, (pair, *properties)))
    )


def _is_baggage_pair(text: str) -> bool:
    """A key and perhaps a value."""
    key, _, value = (part.strip(" \t") for part in text.partition("="))
    return bool(_BAGGAGE_TOKEN.fullmatch(key) and _BAGGAGE_VALUE.fullmatch(value))
