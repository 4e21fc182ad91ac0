"""Text without passwords and tokens: what is stored, tracked, reported or told in an error comes through here."""

import re
from collections.abc import Mapping
from typing import Any

_HIDDEN = "[hidden]"
_NAMES = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|credentials?|authorization|signature|sig|"
    r"(?:api|access|account|private|secret|auth)[_-]?key"
)
_PATTERNS = (
    # User and password of an address. A path drops one of two slashes; C:/ is a drive.
    re.compile(r"(?i)(\b[a-z][a-z0-9+.-]+:/{1,2})[^/@\s]+(?=@)"),
    # Who knows the address of such a webhook may write to it.
    re.compile(
        r"(?i)(https://(?:hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|[\w.-]*webhook\.office\.com/))\S+"
    ),
    re.compile(rf"(?i)((?:{_NAMES})=)[^&\s'\"]+"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    # Tokens that are known by how they begin: AWS, GitHub, GitLab, Slack, Hugging Face, OpenAI, JWT.
    re.compile(
        r"()\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|"
        r"hf_\w{20,}|sk-[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]+)"
    ),
)


def redacted(text: str) -> str:
    """The text with user names, passwords and tokens blacked out."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


def redacted_values(content: Any) -> Any:
    """JSON-ready content with every text in it redacted."""
    match content:
        case str():
            return redacted(content)
        case Mapping():
            return {redacted(str(key)): redacted_values(value) for key, value in content.items()}
        case list() | tuple():
            return [redacted_values(item) for item in content]
        case _:
            return content
