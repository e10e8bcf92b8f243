"""One self-contained page: no script, no request, safe to open from a stranger.

It is good on paper, in the dark, and on a phone.

Every text goes through `escape`; the content security policy forbids what would still get through.
"""

from forensics.report.html.page import page, verdicts

__all__ = ["page", "verdicts"]
