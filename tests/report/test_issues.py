"""Diagnoses for other readers, through real processes.

Markdown, SARIF, annotations, the action, and the pytest plugin.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from forensics.records import Allowed, Diagnosis, Evidence, Finding, NotEvaluated
from forensics.report import annotations, markdown, sarif
from tests.support.command import LOOP, environment, forensics, write

ROOT = Path(__file__).parents[2]
BROKEN = "snapshots/broken-stub"
EVIL = "a|b `c` <img src=x> @someone #12 [x](http://y) \x1b[31m\n::error::no"


def finding(**more: Any) -> Finding:
    given = {
        "id": "padding-in-loss",
        "severity": "error",
        "role": "cause",
        "confidence": "certain",
        "title": EVIL,
        "claim": EVIL,
    }
    return Finding(**{**given, **more})


def judged(*findings: Finding, **more: Any) -> Diagnosis:
    return Diagnosis("r@loaded", "r@end", "faulty", findings, headline=EVIL, **more)


@pytest.mark.long
def test_markdown_of_a_run_says_what_the_terminal_says(tmp_path: Path) -> None:
    done = forensics(ROOT, "diagnose", BROKEN, "--markdown", "--store", str(tmp_path))
    assert done.status == 1
    assert done.out.startswith("## FAULTY: 2 causes")
    for said in (
        "### 1. padding-in-loss: error, cause, proved",
        "`broken.py:51`",
        "**Mend it:**",
        "checks not evaluated",
        "mlx-forensics",
    ):
        assert said in done.out
    two = forensics(ROOT, "diagnose", BROKEN, "snapshots/fixed", "--markdown", "--store", str(tmp_path))
    assert two.out.startswith("## HEALTHY") and "### `" in two.out


def test_markdown_lets_no_strangers_text_act() -> None:
    rows = tuple(Evidence(EVIL, EVIL, EVIL) for _ in range(9))
    text = markdown.diagnosis(
        judged(finding(evidence=rows, where="a`b.py:1", fix=EVIL, ruled_out=(EVIL,)), notes=(EVIL,))
    )
    assert "\x1b" not in text and "<img" not in text.replace("\\<img", "") and "and 1 more" in text
    assert (
        "@someone" not in text
        and "#12" not in text
        and "http://" not in text
        and not re.search(r"(?<!\\)\[x", text)
    )
    assert "`` a`b.py:1 ``" in text or "``a`b.py:1``" in text
    assert all(
        line.count("|") - line.count("\\|") == 4 for line in text.splitlines() if line.startswith("| ")
    )


REQUIRED = {"tool", "results"}


def check(log: dict[str, Any]) -> None:
    """What the schema of SARIF 2.1.0 requires of what we write."""
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    for run in log["runs"]:
        assert run.keys() >= REQUIRED and run["tool"]["driver"]["name"]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(rules) == len(set(rules))
        for invocation in run["invocations"]:
            assert isinstance(invocation["executionSuccessful"], bool)
            assert all(
                note["message"]["text"] and note["descriptor"]["id"]
                for note in invocation["toolExecutionNotifications"]
            )
        for result in run["results"]:
            assert result["message"]["text"] and result["level"] in ("none", "note", "warning", "error")
            assert rules[result["ruleIndex"]] == result["ruleId"]
            for suppression in result.get("suppressions", ()):
                assert suppression["kind"] in ("inSource", "external") and suppression["justification"]
            for location in result.get("locations", ()):
                if "physicalLocation" in location:
                    physical = location["physicalLocation"]
                    assert re.fullmatch(r"(file:///)?[A-Za-z0-9._~%/-]+", physical["artifactLocation"]["uri"])
                    assert physical["region"]["startLine"] >= 1
                else:
                    assert location["logicalLocations"][0]["fullyQualifiedName"]


def test_sarif_has_the_required_shape_and_points_at_the_line_to_mend(tmp_path: Path) -> None:
    target = tmp_path / "x.sarif"
    done = forensics(ROOT, "diagnose", BROKEN, "--json", "--sarif", str(target), "--store", str(tmp_path))
    log = json.loads(target.read_text())
    check(log)
    document = json.loads(done.out)
    results = log["runs"][0]["results"]
    assert [r["ruleId"] for r in results] == [f["id"] for f in document["findings"]]
    assert len(log["runs"][0]["invocations"][0]["toolExecutionNotifications"]) == len(
        document["not_evaluated"]
    )
    physical = [r["locations"][0]["physicalLocation"] for r in results]
    assert {(p["artifactLocation"]["uri"], p["region"]["startLine"]) for p in physical} == {("broken.py", 51)}


def test_sarif_of_odd_places_and_of_what_is_allowed() -> None:
    places = ("my file.py:3", "/abs/träin.py:4", "In[5]:2", "lora.yaml:12 max_seq_length", "nowhere", None)
    found = judged(
        *(finding(where=place, source="x = 1") for place in places),
        allowed=(Allowed(finding(id="prompt-in-loss", severity="warning"), "meant"),),
        not_evaluated=(NotEvaluated("reload-mismatch", "nothing was saved"),),
    )
    log = sarif.log(found)
    check(log)
    results = log["runs"][0]["results"]
    uris = [
        unquote(r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for r in (results[0], results[1], results[3])
    ]
    assert uris == ["my file.py", "file:///abs/träin.py", "lora.yaml"]
    assert results[2]["locations"] == [
        {"logicalLocations": [{"fullyQualifiedName": "In[5]:2", "kind": "module"}]}
    ]
    assert "locations" not in results[4] and "locations" not in results[5]
    assert results[-1]["suppressions"] == [{"kind": "external", "justification": "meant"}]


def test_annotations_are_one_line_each_and_no_text_ends_them() -> None:
    lines = annotations.lines(judged(finding(where="a,b:c.py:7", fix="50 % less"), finding(severity="info")))
    assert len(lines) == 2 and not any("\n" in line for line in lines)
    assert lines[0].startswith("::error title=padding-in-loss (certain),file=a%2Cb%3Ac.py,line=7::")
    assert lines[0].endswith("%0AMend it: 50 %25 less") and lines[1].startswith("::notice ")


@pytest.mark.long
def test_github_writes_the_summary_and_two_documents_on_one_stdout_are_refused(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    done = forensics(
        ROOT,
        "diagnose",
        BROKEN,
        "--github",
        "--store",
        str(tmp_path),
        env={"GITHUB_STEP_SUMMARY": str(summary)},
    )
    assert done.status == 1 and done.out.startswith("::error title=padding-in-loss")
    assert summary.read_text().startswith("## FAULTY")
    twice = forensics(ROOT, "diagnose", BROKEN, "--github", "--json")
    assert twice.status == 2 and "One answer has one form" in twice.err and twice.out == ""
    nowhere = forensics(ROOT, "diagnose", BROKEN, "--sarif", str(tmp_path / "no" / "x.sarif"))
    assert nowhere.status == 2 and "SARIF file cannot be written" in nowhere.err


@pytest.mark.long
def test_a_bundle_holds_the_summary_of_what_is_in_it(tmp_path: Path) -> None:
    done = forensics(tmp_path, "capture", "--name", "run", "--", sys.executable, str(write(tmp_path, LOOP)))
    assert forensics(tmp_path, "bundle", "run", "-o", "bug.zip").status == 0, done.err
    with zipfile.ZipFile(tmp_path / "bug.zip") as file:
        assert file.read("summary.md").decode().startswith("## HEALTHY")
    assert forensics(tmp_path, "verify", "bug.zip").status == 0
    assert forensics(tmp_path, "open", "bug.zip", "--as", "again").status == 0


def act(directory: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the script of the action as the runner does."""
    yaml = pytest.importorskip("yaml")
    action = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text())
    step = next(step for step in action["runs"]["steps"] if step.get("id") == "check")
    given = {name: str(about.get("default", "")) for name, about in action["inputs"].items()} | inputs
    values = {
        key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: given[m[1]], text)
        for key, text in step["env"].items()
    }
    out = directory / "output"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": str(directory / "summary"), "PATH": path}
    done = subprocess.run(
        ["bash", "-c", step["run"]], cwd=directory, capture_output=True, text=True, check=False,
        env=environment({**values, **given}),
    )  # fmt: skip
    return done, out.read_text()


@pytest.mark.long
def test_the_action_fails_a_job_for_a_fault_alone(tmp_path: Path) -> None:
    write(tmp_path, LOOP)
    done, out = act(tmp_path, command="python train.py")
    assert done.returncode == 0, done.stderr
    assert out == "verdict=healthy\n" and (tmp_path / "forensics.zip").exists()
    check(json.loads((tmp_path / "forensics.sarif").read_text()))
    write(tmp_path, LOOP.replace("optim.SGD(0.1)", "optim.SGD(0.0)"))
    done, out = act(tmp_path, command="python train.py", name="zero")
    assert done.returncode == 1 and "::error title=learning-rate-zero" in done.stdout
    assert out.endswith("verdict=faulty\n")
    done, _ = act(tmp_path, command="exit 7", name="none", inconclusive="pass")
    assert done.returncode != 0


PLUGIN = """
import pytest
from forensics.testing import assert_healthy, assert_same
from forensics.errors import UsageError
def train(rate):
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(16, 8), nn.Linear(8, 16)
        def __call__(self, x):
            return self.out(self.embed(x))
    mx.random.seed(3)
    model, optimizer = Net(), optim.SGD(rate)
    x = mx.array([[1, 2, 3, 4, 5]])
    step = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
    for i in range(3):
        loss, gradients = step(model)
        optimizer.update(model, gradients)
        mx.eval(model.parameters())
def test_right(forensics_run):
    train(0.1)
def test_wrong(forensics_run):
    train(0.0)
def test_fails_by_itself(forensics_run):
    train(0.0)
    assert 0, "mine"
MEANT = ["learning-rate-zero", "parameters-unchanged", "loss-constant", "loss-not-decreasing"]
@pytest.mark.forensics(allow=MEANT)
def test_allowed(forensics_run):
    train(0.0)
@pytest.mark.forensics(judge=False, every=1, name="kept", store=".forensics")
def test_by_hand(forensics_run):
    train(0.1)
    forensics_run.stop()
    assert_healthy(forensics_run)
    assert_healthy("kept")
    assert_same("kept@start", "kept@loaded")
    assert_same("kept@loaded", "kept@end", allow=["embed.*", "out.*", "environment", "scores"])
    with pytest.raises(AssertionError, match="embed.weight"):
        assert_same("kept@loaded", "kept@end", allow=["out.*"])
    with pytest.raises(UsageError, match="no finding"):
        assert_healthy("kept", allow=["no-such"])
"""


@pytest.mark.long
def test_the_plugin_watches_a_training_test_and_fails_it_for_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "test_training.py").write_text(PLUGIN)
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-rA",
        "-p",
        "forensics.pytest_plugin",
        "test_training.py",
    ]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env=environment({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    told = re.findall(r"^(PASSED|FAILED|ERROR) \S*::(\w+)", done.stdout, re.MULTILINE)
    ended = {name: how for how, name in told}
    assert ended == {
        "test_right": "PASSED", "test_allowed": "PASSED", "test_by_hand": "PASSED",
        "test_fails_by_itself": "FAILED", "test_wrong": "ERROR",
    }, done.stdout  # fmt: skip
    assert "is not healthy" in done.stdout and "learning-rate-zero" in done.stdout
