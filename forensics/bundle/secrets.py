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
    r"[a-z0-9_]*[\"']?(?:\s*[=:]+>?\s*|\s+is:?\s+)[\"']?[^\s\"',;&]{4,})",
    "wandb": r"(?i:\bwandb\b.{0,40}?\b[0-9a-f]{40}\b)",
    "hexadecimal key": r"\b[0-9a-f]{32,}\b|\b[0-9A-F]{32,}\b",
    "address": r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b",
    "private address": r"(?<!\d)(?:(?:10|127)(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}"
    r"|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?!\d)",
    "network address": r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w.])"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}(?![\w:])",
}  # fmt: skip
_FORMS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _KEYS.items()}
_ANY = re.compile("|".join(f"(?:{pattern})" for pattern in _KEYS.values()), re.DOTALL)
_LONG = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")


def clean(text: str) -> str:
    """The text with each secret replaced by `[kind]`."""
    for kind, pattern in _FORMS.items():
        text = pattern.sub(f"[{kind}]", text)
    return _LONG.sub(lambda m: "[key]" if _mixed(m[0]) else m[0], text)


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
    return _ANY.search(text) is not None or any(_mixed(m[0]) for m in _LONG.finditer(text))


def _mixed(run: str) -> bool:
    """Long, with small and capital letters and digits throughout: no digest, no name of a module."""
    if _HEX.fullmatch(run):
        return False
    counts = [sum(map(f, run)) for f in (str.islower, str.isupper, str.isdigit)]
    changes = sum(
        a.isdigit() != b.isdigit() or a.isupper() != b.isupper() for a, b in zip(run, run[1:], strict=False)
    )
    return min(counts) >= 3 and changes > len(run) / 3
