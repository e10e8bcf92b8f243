"""From detectors to a diagnosis: outcomes, what explains what, verdicts, two runs."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import UsageError
from forensics.judge import allow, diagnose, issues, library, runs, verdict
from forensics.judge.resolver import opened
from forensics.records import Diagnosis
from forensics.store.session import Session
from forensics.store.store import Store
from tests.support.evidence import ask, capture, delta, event, evidence, loss_token, parameter, row, run, step

COMPLETE = [
    run(), capture("loaded"), capture("start"), capture("end"),
    parameter("loaded", "w", "d0"), parameter("start", "w", "d0", trainable=True),
    parameter("end", "w", "d1"), loss_token(1, 0, 1.0), step(1),
]  # fmt: skip
"""A run of which everything that `healthy` asks for was captured."""


NO_ROWS = "SELECT 'x' AS subject, '' AS observed, '' AS expected, true AS fault WHERE false ORDER BY 1"
CRASHING = "SELECT error('no') AS subject, '' AS observed, '' AS expected, true AS fault ORDER BY 1"


def detector(name: str, rows: str = "('x', true)", sql: str | None = None, **keys: str) -> library.Detector:
    """A detector whose rows are given: (subject, fault) pairs as SQL, or a whole SELECT."""
    header = {
        "severity": "error",
        "role": "cause",
        "confidence": "certain",
        "claim": "{subject} is wrong.",
        "fix": "mend it",
    }
    header |= {key.replace("_", " "): value for key, value in keys.items()}
    select = sql or (
        "SELECT subject, 'seen' AS observed, 'meant' AS expected, fault"
        f" FROM (VALUES {rows}) v(subject, fault) ORDER BY subject"
    )
    text = f"-- Title of {name}.\n--\n" + "".join(f"-- {k}: {v}\n" for k, v in header.items()) + select
    found = library.parse(Path(f"{name}.sql"), text)
    assert isinstance(found, library.Detector)
    return found


def judged(
    *detectors: library.Detector, session: Session | None = None, a: str = "r@loaded", b: str = "r@end"
) -> Diagnosis:
    session = session or evidence(*COMPLETE)
    ours = library.Library({d.name: d for d in detectors}, {}, {})
    return diagnose.judge(session, ours, a, b, "r")


def order(diagnosis: Diagnosis) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(f.id, f.role, f.explains) for f in diagnosis.findings]


def test_rows_become_a_finding() -> None:
    found = judged(
        detector(
            "broken-part",
            sql="""SELECT * FROM (VALUES
                ('fine', 'a', 'a', false, NULL, NULL, 0.0), ('worn', 'b', 'a', true, 'info', NULL, 0.5),
                ('gone', 'c', 'a', true, NULL, 'train.py:7', 0.25)
            ) v(subject, observed, expected, fault, severity, place, share) ORDER BY subject DESC""",
            claim="{n} of {looked} are wrong; {subject} is {observed} by {share}.",
            severity="warning",
            fix="mend {subject}",
        )
    ).findings[0]
    assert (found.severity, found.where, found.fix) == ("warning", "train.py:7", "mend gone")
    assert found.claim == "2 of 3 are wrong; gone is c by 0.25."
    assert [e.subject for e in found.evidence] == ["gone", "worn"]
    assert found.check == "forensics query broken-part r"


@pytest.mark.parametrize(
    ("place", "where", "source"),
    [
        ("NULL", "--iters", "--iters 0"),
        ("'train.py:8'", "--iters", "--iters 0"),
        ("'train.py:7'", "train.py:7", "opt = Adam(0)"),
    ],
    ids=["no line", "the line that calls a trainer", "a line of the program"],
)
def test_a_setting_is_named_where_no_line_of_the_program_is_to_mend(
    place: str, where: str, source: str
) -> None:
    texts = {"--iters": "--iters 0", "lora.yaml:3 train.rate": "rate: 0", "train.py:7": "opt = Adam(0)"}
    session = evidence(run(lines=json.dumps(texts)), *COMPLETE[1:], event("train", place="train.py:8"))
    select = (
        f"SELECT 'x' AS subject, '' AS observed, '' AS expected, true AS fault, {place} AS place ORDER BY 1"
    )
    given = judged(detector("broken-part", sql=select, setting="iters, rate"), session=session).findings[0]
    assert (given.where, given.source) == (where, source)
    keyed = judged(detector("broken-part", sql=select, setting="rate"), session=session).findings[0]
    assert keyed.where == ("lora.yaml:3 train.rate" if where == "--iters" else where)
    other = judged(detector("broken-part", sql=select, setting="erate"), session=session).findings[0]
    assert other.where != "lora.yaml:3 train.rate"


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 layer has one, 1 seen."), (2, "2 layers have one, 2 seen.")]
)
def test_a_claim_has_words_for_one_and_for_many(number: int, said: str) -> None:
    rows = ", ".join(f"('{n}', true)" for n in range(number))
    assert (
        judged(detector("a-one", rows, claim="{n:layer has|layers have} one, {looked} seen."))
        .findings[0]
        .claim
        == said
    )


def test_what_has_no_cause_above_it_is_not_sent_there() -> None:
    sent = detector(
        "s-one", role="symptom", fix="find why in the causes above; where there are none, look at the loss"
    )
    cause, under = judged(sent, detector("a-cause", explains="s-one")).findings
    (alone,) = judged(sent).findings
    assert (cause.fix, under.fix, alone.fix) == ("mend it", sent.text("fix"), "look at the loss")


def test_what_is_explained_is_folded_under_its_cause() -> None:
    diagnosis = judged(
        detector("a-symptom", role="symptom"),
        detector("b-consequence", role="consequence", explains="a-symptom"),
        detector("c-cause", explains="b-consequence"),
        detector("d-cause", severity="warning"),
        detector("e-info", severity="info", explains="d-cause"),
    )
    assert order(diagnosis) == [
        ("c-cause", "cause", ("b-consequence", "a-symptom")),
        ("d-cause", "cause", ()),
        ("e-info", "cause", ()),
        ("b-consequence", "consequence", ("a-symptom",)),
        ("a-symptom", "symptom", ()),
    ]


def test_a_link_runs_over_no_finding_that_is_not_present() -> None:
    end, first = detector("z-end", role="symptom"), detector("a-first", explains="m-middle")
    other = detector("b-other")
    silent = detector("m-middle", rows="('x', false)", role="consequence", explains="z-end")
    unseen = detector("m-middle", role="consequence", explains="z-end", needs="probes")
    present = detector("m-middle", role="consequence", explains="z-end")
    assert order(judged(first, other, end, present))[0] == ("a-first", "cause", ("m-middle", "z-end"))
    for middle in (silent, unseen):
        assert all(explains == () for _, _, explains in order(judged(first, other, end, middle)))


@pytest.mark.parametrize("holds", [True, False])
def test_a_link_holds_where_the_row_says_so(holds: bool) -> None:
    sql = (
        f"SELECT 'x' AS subject, '' AS observed, '' AS expected, true AS fault, {str(holds).lower()} AS"
        " applied ORDER BY subject"
    )
    first = detector("a-first", sql=sql, explains="z-end when applied, y-end")
    diagnosis = judged(first, detector("z-end", role="symptom"), detector("y-end", role="symptom"))
    assert order(diagnosis)[0] == ("a-first", "cause", ("z-end", "y-end") if holds else ("y-end",))


def test_of_causes_that_explain_as_much_the_larger_share_then_the_earlier_event_stands_first() -> None:
    def cause(name: str, share: float, place: str) -> library.Detector:
        sql = (
            "SELECT 'x' AS subject, '' AS observed, '' AS expected, true AS fault,"
            f" {share} AS share, '{place}' AS place ORDER BY subject"
        )
        return detector(name, sql=sql)

    session = evidence(*COMPLETE, [event("grad", place="late.py:2"), event("grad", place="early.py:1")])
    session.script("UPDATE events SET sequence = CASE WHEN place = 'late.py:2' THEN 2 ELSE 1 END")
    found = judged(
        cause("a-one", 0.2, "late.py:2"),
        cause("b-two", 0.2, "early.py:1"),
        cause("c-three", 0.9, "x.py:1"),
        session=session,
    )
    assert [f.id for f in found.findings] == ["c-three", "b-two", "a-one"]


def test_a_warning_is_suspect_and_what_is_allowed_never_counts() -> None:
    warning = detector("a-warning", severity="warning", explains="b-follows")
    follows = detector("b-follows", role="consequence")
    assert judged(detector("a-warning", severity="warning")).verdict == "suspect"
    assert judged(warning, follows).verdict == "faulty"
    session, ours = evidence(*COMPLETE), library.Library({d.name: d for d in (warning, follows)}, {}, {})
    allowances = allow.given(["a-warning=we mean it"], ["a-warning"])
    found = diagnose.judge(session, ours, "r@loaded", "r@end", "r", allowances)
    assert (found.verdict, found.findings) == ("healthy", ())
    assert [(each.finding.id, each.reason) for each in found.allowed] == [
        ("a-warning", "we mean it"),
        ("b-follows", "follows from a-warning"),
    ]
    document = diagnose.document(found)
    assert [(each["id"], each["reason"]) for each in document["allowed"]][0] == ("a-warning", "we mean it")


def test_an_allowance_of_a_file_or_model_holds_there_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[[tool.forensics.allow]]\nid = "a-one"\nreason = "meant"\nfile = "pre.py"\n'
        '[[tool.forensics.allow]]\nid = "b-two"\nreason = "meant"\nmodel = "m1"\n'
    )
    (tmp_path / "below").mkdir()
    allowances = allow.configured(tmp_path / "below", ["a-one", "b-two"])
    one = judged(detector("a-one"), detector("b-two")).findings
    assert allow.split(one, allowances, "m0")[1] == ()
    here = [replace(f, where="src/pre.py:8") for f in one]
    assert [each.finding.id for each in allow.split(here, allowances, "m1")[1]] == ["a-one", "b-two"]


@pytest.mark.parametrize(
    "text",
    [
        "allow = 3",
        '[[allow]]\nid = "a-one"',
        '[[allow]]\nid = "a-two"\nreason = "x"',
        '[[allow]]\nid = "a-one"\nreason = "x"\nwhy = "y"',
        "allow =",
    ],
)
def test_an_allowance_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "forensics.toml").write_text(text)
    with pytest.raises(UsageError):
        allow.configured(tmp_path, ["a-one"])


def test_two_that_explain_each_other_give_one_cause() -> None:
    diagnosis = judged(
        detector("a-one", role="consequence", explains="b-two"), detector("b-two", explains="a-one")
    )
    assert order(diagnosis) == [("b-two", "cause", ("a-one",)), ("a-one", "consequence", ())]


def test_a_consequence_that_nothing_explains_is_the_cause() -> None:
    assert order(judged(detector("a-one", role="consequence"))) == [("a-one", "cause", ())]


def test_cause_that_explains_most_stands_first() -> None:
    diagnosis = judged(
        detector("a-cause", explains="s-one"), detector("b-cause", explains="s-two, s-three"),
        detector("s-one", role="symptom"), detector("s-two", role="symptom"),
        detector("s-three", role="symptom"),
    )  # fmt: skip
    assert [f.id for f in diagnosis.findings][:2] == ["b-cause", "a-cause"]


def test_ruled_out_quotes_the_clean_with_their_numbers() -> None:
    found = judged(
        detector("a-cause", rules_out="b-clean, c-missing, d-faulty"),
        detector(
            "b-clean",
            rows="('x', false), ('y', false)",
            clean="the template (the same {observed} ids in {looked} rows)",
        ),
        detector("c-missing", needs="probes", clean="the probes"),
        detector("d-faulty", severity="info", clean="the rest"),
    ).findings[0]
    assert found.ruled_out == ("the template (the same seen ids in 2 rows)",)


def test_outcomes_that_are_no_finding() -> None:
    diagnosis = judged(
        detector("a-needs", needs="probes"),
        detector("b-nothing", sql=NO_ROWS, nothing="the model has no adapter"),
        detector("c-unasked", sql=CRASHING, needs="generations"),
    )  # fmt: skip
    needs = {each.id: each.needs for each in diagnosis.not_evaluated}
    assert needs["a-needs"] == "the answers to probes at r@loaded and r@end"
    assert needs["b-nothing"] == "the model has no adapter"
    assert needs["c-unasked"] == "the program generated nothing"
    assert diagnosis.verdict == "healthy"


@pytest.mark.parametrize(
    ("needs", "verdict"), [("", "inconclusive"), ("updates", "inconclusive"), ("saved", "healthy")]
)
def test_a_crash_stands_against_healthy_where_the_detector_is_basic(needs: str, verdict: str) -> None:
    saved = row("saved_tensors", run="r", save=0, name="w", digest="d1", digest_on_disk="d1")
    crashed = detector(
        "c-crashed",
        sql="SELECT error('no') AS subject, '' AS observed, '' AS expected, true AS fault ORDER BY 1",
        needs=needs,
    )
    diagnosis = judged(crashed, session=evidence(*COMPLETE, saved))
    assert diagnosis.verdict == verdict
    assert [(each.kind, each.needs) for each in diagnosis.not_evaluated] == [
        ("crashed", "Invalid Input Error: no")
    ]


def without(table: str, **where: Any) -> Session:
    """The complete run without the rows of a table whose columns are as given."""
    flat = [made for item in COMPLETE for made in ([item] if isinstance(item, tuple) else item)]
    return evidence(*(m for m in flat if m[0] != table or any(m[1].get(k) != v for k, v in where.items())))


@pytest.mark.parametrize(
    ("table", "where", "gap"),
    [
        ("placements", {"capture": "r@loaded"}, "the parameters of r@loaded"),
        ("placements", {"capture": "r@start"}, "the trainable set of r@end"),
        ("models", {}, "the update calls of r@end"),
    ],
)
def test_healthy_asks_for_what_decides(table: str, where: dict[str, Any], gap: str) -> None:
    assert judged(detector("a-clean", rows="('x', false)")).verdict == "healthy"
    diagnosis = judged(detector("a-clean", rows="('x', false)"), session=without(table, **where))
    assert diagnosis.verdict == "inconclusive" and gap in diagnosis.notes


def test_run_that_never_reached_its_end_is_inconclusive() -> None:
    session = evidence(*COMPLETE[:3], COMPLETE[4], parameter("start", "w", "d0", trainable=True), COMPLETE[7])
    diagnosis = judged(detector("a-clean", rows="('x', false)"), session=session, b="r@start")
    assert (diagnosis.verdict, diagnosis.notes) == ("inconclusive", ("the model after the last update",))


def test_a_state_before_the_end_of_its_run_is_not_held_to_what_the_whole_run_did() -> None:
    places = {"r@loaded": 0, "r@start": 1, "r@end": 2}
    flat = [made for item in COMPLETE for made in ([item] if isinstance(item, tuple) else item)]
    session = evidence(
        *((t, {**row, "sequence": places[row["capture"]]} if t == "captures" else row) for t, row in flat)
    )
    needs_end = detector("end-alone", needs="end")
    early = judged(needs_end, session=session, b="r@start")
    assert (early.verdict, early.findings) == ("inconclusive", ())
    assert early.notes == ("the model after the last update, which came after r@start",)
    assert judged(needs_end, session=session).verdict == "faulty"


@pytest.mark.parametrize(
    "pair", [("loaded", "start"), ("start", "start"), ("end", "adapted"), ("end", "reloaded")]
)
def test_no_pair_of_captures_of_a_healthy_run_is_accused(pair: tuple[str, str]) -> None:
    store = Store(Path(__file__).parents[2] / "snapshots" / "fixed")
    found = diagnose.diagnose_opened(opened(store, [f"fixed@{point}" for point in pair]))
    assert not [f.id for f in found.findings if f.severity != "info"]
    assert found.verdict == ("healthy" if pair[1] == "reloaded" else "inconclusive")


KILLED: dict[str, Any] = {
    "exit_status": -9,
    "missing": [
        {
            "what": "the end of process 0",
            "why": "it was ended by signal 9",
            "kind": "process-end",
            "process": "0",
        }
    ],
}


def test_run_that_was_killed_is_inconclusive_though_an_end_was_taken_before() -> None:
    clean = detector("a-clean", rows="('x', false)")
    diagnosis = judged(clean, session=evidence(run(**KILLED), *COMPLETE[1:]))
    assert (diagnosis.verdict, diagnosis.notes) == (
        "inconclusive",
        ("the model after the last update: its process was killed",),
    )
    left = judged(clean, session=evidence(run(**KILLED | {"exit_status": 0}), *COMPLETE[1:]))
    assert left.verdict == "healthy"  # the program left by os._exit(0), after its end
    behind = judged(
        clean, session=evidence(COMPLETE[0], *COMPLETE[1:3], capture("end", updates=7), *COMPLETE[4:])
    )
    assert (behind.verdict, behind.notes) == ("inconclusive", ("the model after the last update",))


def test_killed_before_an_update_was_seen_claims_nothing() -> None:
    made = [capture("loaded"), parameter("loaded", "w", "d0", trainable=True), event("grad")]
    session = evidence(run(updates=None, gradients=None, expect="lora", **KILLED), *made)
    diagnosis = diagnose.judge(session, library.load(), "r@loaded", "r@loaded", "r")
    assert diagnosis.verdict == "inconclusive" and not [f for f in diagnosis.findings if f.severity != "info"]
    assert "the update calls of r@loaded" in diagnosis.notes
    gathering = evidence(run(updates=None, gradients=3, **KILLED), *made)
    assert not any(
        found["fault"] for found in ask(gathering, "optimizer-never-stepped", "r@loaded", "r@loaded")
    )


def test_loss_that_is_no_cross_entropy_does_not_stand_against_healthy() -> None:
    clean, padding = (
        detector("a-clean", rows="('x', false)"),
        detector("padding-in-loss", needs="loss_tokens"),
    )
    residual = evidence(*COMPLETE[:7], loss_token(1, 0, 0.4, residual=0.3))
    diagnosis = judged(clean, padding, session=residual)
    assert diagnosis.verdict == "healthy"
    assert [(each.kind, each.needs) for each in diagnosis.not_evaluated] == [
        ("not-applicable", "the loss is no cross-entropy")
    ]
    lost = evidence(
        run(missing=[{"what": "loss tap", "why": "a hook failed", "kind": "loss"}]), *COMPLETE[1:7]
    )
    assert judged(clean, padding, session=lost).verdict == "inconclusive"


def test_models_at_rest_are_never_healthy() -> None:
    rest = [("runs", {"run": n, "kind": "rest", "main_model": "m0"}) for n in ("x", "y")]
    both = evidence(
        rest,
        capture("rest", "x"),
        capture("rest", "y"),
        parameter("x@rest", "w", "d"),
        parameter("y@rest", "w", "d"),
    )
    found = judged(detector("a-clean", rows="('x', false)"), session=both, a="x@rest", b="y@rest")
    assert (found.verdict, found.headline, found.notes) == (
        "inconclusive",
        "nothing found in the 1 check that files allow",
        (verdict.FILES,),
    )
    one = evidence(rest, capture("rest", "x"), capture("rest", "y"), parameter("x@rest", "w", "d"))
    assert (
        judged(detector("a-clean", rows="('x', false)"), session=one, a="x@rest", b="y@rest").verdict
        == "inconclusive"
    )


def test_two_runs_say_what_only_one_does() -> None:
    padded = [
        row("configs", capture="r", kind="training", key="lr", value="0.001"),
        row("configs", capture="s", kind="training", key="lr", value="0.1"),
    ]
    session = evidence(run(), run("s"), capture("end"), capture("end", "s"), padded)
    ours = library.load()
    one = judged(detector("a-cause"), detector("c-both"), session=session, a="r@end")
    other = judged(
        detector("b-cause"),
        detector("c-both"),
        detector("a-cause", rows="('x', false)"),
        session=session,
        a="s@end",
        b="s@end",
    )
    ours.install(session)
    both = runs.two_runs(session, one, other, ("r", "s"))
    assert [(f.id, f.only_in) for f in both.findings] == [("a-cause", "a"), ("b-cause", "b")]
    said = {d.subject: (d.expected, d.observed) for d in both.differences}
    assert said["a-cause"] == ("x is wrong.", "evaluated and clean")
    assert said["training: lr"] == ("0.001", "0.1")
    assert list(said)[:2] == ["a-cause", "b-cause"]
    document = diagnose.document(both)
    assert (
        document["verdict"] == "faulty"
        and len(document["runs"]) == 2
        and document["findings"][0]["only_in"] == "a"
    )


def test_json_form() -> None:
    document = diagnose.document(
        judged(detector("a-cause", role="cause"), detector("b-needs", needs="probes"))
    )
    assert list(document)[:5] == ["schema", "a", "b", "verdict", "headline"]
    finding = document["findings"][0]
    assert finding["evidence"] == [{"subject": "x", "observed": "seen", "expected": "meant"}]
    assert {
        "id",
        "severity",
        "role",
        "confidence",
        "title",
        "claim",
        "ruled_out",
        "fix",
        "where",
        "check",
        "explains",
    } <= finding.keys()
    assert document["not_evaluated"] == [
        {"id": "b-needs", "kind": "absent", "needs": "the answers to probes at r@loaded and r@end"}
    ]


def test_references_are_gated_by_the_captured_version(monkeypatch: pytest.MonkeyPatch) -> None:
    known = (
        issues.Issue("a-cause", "ml-explore/mlx-lm#1", "always"),
        issues.Issue("a-cause", "ml-explore/mlx-lm#2", "was", "mlx-lm", "0.30.0"),
    )
    monkeypatch.setattr(issues, "load", lambda: known)
    assert issues.references("a-cause", {"mlx-lm": "0.32.2"}) == ("ml-explore/mlx-lm#1 always",)
    assert issues.references("a-cause", {"mlx-lm": "0.29.1"}) == (
        "ml-explore/mlx-lm#1 always",
        "ml-explore/mlx-lm#2 was",
    )
    assert issues.references("a-cause", {}) == ("ml-explore/mlx-lm#1 always",)
    old = evidence(*COMPLETE, row("environment", capture="r", key="mlx-lm", value="0.29.1"))
    assert len(judged(detector("a-cause"), session=old).findings[0].references) == 2


def test_known_issues_are_well_formed() -> None:
    known = issues.load()
    assert len(known) >= 25 and len(set(known)) == len(known)
    for each in known:
        assert (
            re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", each.issue) and each.title and not each.title.endswith(".")
        )
        assert (each.fixed_in is None) == (each.package is None)
        assert each.fixed_in is None or re.fullmatch(r"\d+(\.\d+)+", each.fixed_in)


def test_known_issues_name_findings() -> None:
    ours = library.load().queries
    assert {each.finding for each in issues.load()} <= ours.keys()


@pytest.mark.long
@pytest.mark.parametrize(("tensors", "seconds"), [(300, 2.0), (30_000, 10.0)])
def test_time_to_a_verdict(tensors: int, seconds: float) -> None:
    made = [run(), capture("loaded"), capture("start"), capture("end")]
    for i in range(tensors):
        for point in ("loaded", "start", "end"):
            moved = "x" if point == "end" and i % 3 == 0 else ""
            trainable = None if point == "loaded" else i % 3 == 0
            made += parameter(
                point,
                f"model.layers.{i // 9}.m{i % 9}.weight",
                f"d{i}{moved}",
                layer=i // 9,
                trainable=trainable,
            )
        made += [delta(f"d{i}", f"d{i}x")] if i % 3 == 0 else []
    for number in range(1, 40):
        made += [step(number), *(loss_token(number, position, 1 / 300) for position in range(300))]
    session = evidence(*made)
    session.script("SET disabled_optimizers = 'join_order'")  # as `opened` has it
    began = time.process_time()
    diagnosis = diagnose.judge(session, library.load(), "r@loaded", "r@end", "r")
    assert time.process_time() - began < seconds
    assert not [each for each in diagnosis.not_evaluated if each.needs.startswith("crashed")]
