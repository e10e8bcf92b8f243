"""Secrets and personal marks in text: found by their form, replaced by what kind they were.

Keys of services have telling beginnings; passwords stand in URLs and behind words like `password=`; addresses
have their own form. What looks like none of these and is long and mixed is taken for a key as well.
"""

from __future__ import annotations

import re

_KEYS = {
    "huggingface": r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}",
    "openai": r"\bsk-(?:proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{16,}",
    "github": r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,})",
    "gitlab": r"\bgl(?:pat|rt|ptt|dt|soat)-[A-Za-z0-9_-]{16,}",
    "aws": r"\b(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{12,}",
    "google": r"\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{16,}|\bGOCSPX-[A-Za-z0-9_-]{16,}",
    "slack": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/_-]+",
    "discord": r"discord(?:app)?\.com/api/webhooks/[0-9]+/[A-Za-z0-9_-]+",
    "telegram": r"\b[0-9]{8,10}:[A-Za-z0-9_-]{30,}",
    "stripe": r"\b(?:[sr]k|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,}",
    "token": r"\b(?:npm|gsk|r8|pplx|sbp|lin_api|dop_v1|doo_v1|shpat|shpss|pul|phc|rubygems|tskey|nvapi|secret"
    r"|figd|hvs|hvb|key|fw|csk|xai|tgp_v1|jina|voyage|co)"
    r"[_.-](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}",
    "databricks": r"\bdapi[0-9a-f]{32}",
    "pypi": r"\bpypi-[A-Za-z0-9_-]{16,}",
    "docker": r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    "sendgrid": r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "twilio": r"\b(?:SK|AC)[0-9a-f]{32}\b",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    "private key": r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE)[A-Z ]*-----"
    r".*?(?:-----END [A-Z ]+-----|\Z)",
    "ssh key": r"\b(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-[a-z0-9-]+) [A-Za-z0-9+/=]{20,}"
    r"|\bAGE-SECRET-KEY-[A-Z0-9]{20,}",
    "authorization": r"(?i:\b(?:bearer|basic|token)[ =:]+[A-Za-z0-9._~+/=-]{12,})",
    "url with password": r"\b[a-z][a-z0-9+.-]*://[^\s/@:'\"]*:[^\s/@'\"]+@[^\s'\"]*",
    "password": r"(?i:\b[a-z0-9_.-]*(?:passwo?r?d|passwd|secret|api[_-]?key|access[_-]?key|accountkey"
    r"|auth[_-]?token|access[_-]?token|private[_-]?key|credential|passphrase|pwd)"
    r"[a-z0-9_]*(?:\\*[\"'])?(?:\s*[=:]+>?\s*|\s+is:?\s+)(?:\\*[\"'])?[^\s\"',;&]{4,})"
    r"|(?i:(?:\bpass(?:word|wd|phrase)|--?[a-z][a-z0-9_-]*(?:password|passwd|secret|token|key))"
    r"[ \t]+[^\s\"',;&]{4,})"
    r"|(?<!\S)(?:-u|--user)[ =][^\s:]+:\S+|(?i:\bcookie:[ \t]*[^\r\n\"]{8,})"
    r"|(?i:\bsession(?:id)?=[^\s;&]{8,})|(?i:[?&](?:[a-z_-]*(?:key|token|sig|signature|auth))=[^\s&]{6,})",
    "wandb": r"(?i:\bwandb\b.{0,40}?\b[0-9a-f]{40}\b)",
    "hexadecimal key": r"\b[0-9a-f]{32,}\b|\b[0-9A-F]{32,}\b",
    "address": r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b",
    "identifier": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "hardware address": r"(?<![\w:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-])",
    "private address": r"(?<!\d)(?:(?:10|127)(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}"
    r"|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?!\d)",
    "network address": r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w.])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}(?![\w:])"
    r"|(?<![\w:])(?=[0-9a-f:]*\d)(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}(?![\w:])",
}  # fmt: skip
_FORMS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _KEYS.items()}
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in _KEYS.values()), re.DOTALL)
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_PIECE = re.compile(r"[A-Za-z0-9]{16,}")
_SHORT = re.compile(r"[A-Za-z0-9]{8,}")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LETTERS = 2.6  # of a word within a name: those of `QuantizedSwitchLinear` have 7, those of a drawn key 2


def clean(text: str) -> str:
    """The text with each secret replaced by `[kind]`."""
    for kind, pattern in _FORMS.items():
        text = pattern.sub(f"[{kind}]", text)
    text = _LONG.sub(lambda m: "[key]" if _mixed(m[0]) else m[0], text)
    return _PIECE.sub(lambda m: "[key]" if drawn(m[0]) else m[0], text)


def spans(text: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: (start, end) of each, which may overlap."""
    found = [match.span() for pattern in _FORMS.values() for match in pattern.finditer(text)]
    found += [match.span() for match in _LONG.finditer(text) if _mixed(match[0])]
    return found + [match.span() for match in _PIECE.finditer(text) if drawn(match[0])]


def drawn(piece: str) -> bool:
    """Was a run of letters and digits drawn rather than named? Letters and digits change places again and
    again in it, or its words have two letters.
    """
    changes = sum(a.isdigit() != b.isdigit() for a, b in zip(piece, piece[1:], strict=False))
    a_word = len(piece) < 16 and re.search(r"[A-Za-z]{4}", piece) is not None  # conv2d1x1
    return (changes > 2 and not a_word) or (
        len(piece) > 11 and len(piece) / len(_WORDS.findall(piece)) < _LETTERS
    )


def is_name(part: str) -> bool:
    """Has a part of a name the form of one: words and short numbers (`layers`, `q_proj_4bit`)?"""
    return not any(
        drawn(piece) or len(piece) > 60 or (piece.isdigit() and len(piece) > 14)
        for piece in _SHORT.findall(part)
    )


# -- people --------------------------------------------------------------------------------------------------

_PERSONAL = {
    "IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b"),
    "card number": re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"),
    "social security number": re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"),
    "phone number": re.compile(
        r"(?<![\w.+-])(?:\+\d{1,3}|00\d{2})[ ./()-]{0,2}(?:\d[ ./()-]{0,2}){6,12}\d(?!\w)"
        r"|(?<![\w.+-])\(?0\d{1,4}\)?[ /-]\d{2,5}(?:[ -]?\d{2,5}){1,3}(?!\w)"
        r"|(?<![\w.+-])\(?\d{3}\)?[ .-]\d{3}[.-]\d{4}(?!\w)"
    ),
}


def people(text: str) -> list[tuple[int, int]]:
    """Where numbers of people stand in a text: (start, end) of each."""
    return [
        match.span()
        for kind, form in _PERSONAL.items()
        for match in form.finditer(text)
        if kind not in _CHECKS or _CHECKS[kind](re.sub(r"[ -]", "", match[0]))
    ]


def personal(text: str) -> tuple[str, dict[str, int]]:
    """The text with numbers of people masked as `[phone number]`, and how many of each kind.

    IBANs and cards are known by their checksums, others by form.
    """
    counts: dict[str, int] = {}
    if sum(map(str.isdigit, text)) < 9:
        return text, counts
    for kind, form in _PERSONAL.items():

        def one(match: re.Match[str], kind: str = kind) -> str:
            if kind in _CHECKS and not _CHECKS[kind](re.sub(r"[ -]", "", match[0])):
                return match[0]
            counts[kind] = counts.get(kind, 0) + 1
            return f"[{kind}]"

        text = form.sub(one, text)
    return text, counts


def _iban(text: str) -> bool:
    return 15 <= len(text) <= 34 and int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _luhn(text: str) -> bool:
    digits = [int(c) * (1 + n % 2) for n, c in enumerate(reversed(text))]
    return len(set(text)) > 1 and sum(d - 9 if d > 9 else d for d in digits) % 10 == 0


_CHECKS = {"IBAN": _iban, "card number": _luhn}


def any_in(text: str) -> bool:
    """Does a secret stand in a text?"""
    return (
        _ANY.search(text) is not None
        or any(_mixed(m[0]) for m in _LONG.finditer(text))
        or any(drawn(piece) for piece in _PIECE.findall(text))
    )


def _mixed(run: str) -> bool:
    """Long, with small and capital letters and digits throughout: no digest, no name of a module."""
    if _HEX.fullmatch(run):
        return False
    counts = [sum(map(f, run)) for f in (str.islower, str.isupper, str.isdigit)]
    changes = sum(
        a.isdigit() != b.isdigit() or a.isupper() != b.isupper() for a, b in zip(run, run[1:], strict=False)
    )
    return min(counts) >= 3 and changes > len(run) / 3
