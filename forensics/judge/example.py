"""One answer to read beside a diagnosis.

It comes from private columns, so no finding rests on it, and a redacted bundle has none.
"""

from __future__ import annotations

from forensics.errors import QueryError
from forensics.judge.library import Sql
from forensics.records import Example

_ANSWER = """
SELECT prompt, output_a, output_b, finish_b FROM transcripts_diff(?, ?)
WHERE NOT same AND output_a IS NOT NULL AND output_b IS NOT NULL
ORDER BY special_b DESC NULLS LAST, kl DESC NULLS LAST, prompt_id LIMIT 1
"""
_TOKENS = """
SELECT role, mode(token) AS token FROM loss_tokens
WHERE run = run_of(?) AND model = model_of(?) AND role IN ('pad', 'end') AND relation = 'next'
    AND token IS NOT NULL
GROUP BY role ORDER BY role DESC
"""


def example(session: Sql, a: str, b: str) -> Example | None:
    """The answer whose change between a and b shows most.

    First the one with most special tokens, then the one whose distribution moved furthest.
    """
    try:
        rows = session.rows(_ANSWER, [a, b])
    except QueryError:
        return None  # a session with a part of the library
    tokens = {str(row["role"]): str(row["token"]) for row in session.rows(_TOKENS, [b, b])}
    if not rows and not tokens:
        return None
    answer = rows[0] if rows else dict.fromkeys(("prompt", "output_a", "output_b", "finish_b"))
    return Example(answer["prompt"], answer["output_a"], answer["output_b"], answer["finish_b"], tokens)
