"""What is shipped: the wheel carries the queries and snapshots.

The package starts without what is slow or missing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv")
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [uv, "build", "--wheel", "--out-dir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


@pytest.mark.long
def test_the_wheel_carries_queries_and_snapshots_under_the_package_alone(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for path in [
        *ROOT.glob("queries/**/*.sql"),
        *(p for p in ROOT.glob("snapshots/**/*") if p.is_file() and "__pycache__" not in p.parts),
    ]:
        top, *rest = path.relative_to(ROOT).parts
        assert "/".join([f"forensics/_{top}", *rest]) in names
    assert {name.split("/")[0] for name in names} == {
        "forensics",
        "mlx_forensics-0.1.0.dist-info",
        "mlx_forensics.pth",
    }


@pytest.mark.long
def test_the_wheel_carries_the_watcher_that_goes_into_the_users_process(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {
        f"forensics/{p.relative_to(ROOT / 'forensics')}" for p in (ROOT / "forensics/watch").rglob("*.py")
    } <= names
    assert {
        f"forensics/{p.relative_to(ROOT / 'forensics')}" for p in (ROOT / "forensics").rglob("*.html")
    } <= names
    assert "forensics/tensors/loops.ll.jinja" in names


def test_help_needs_none_of_the_slow_packages() -> None:
    probe = (
        "import sys\nfrom forensics.cli import main\nmain(['--help'], standalone_mode=False)\nslow ="
        " {'duckdb', 'numpy', 'mlx', 'rich', 'safetensors', 'asyncio'} & set(sys.modules)\nassert not slow,"
        " slow\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_that_help_lists_can_be_used() -> None:
    from click.testing import CliRunner

    from forensics.cli import COMMANDS, main

    for name in COMMANDS:
        shown = CliRunner().invoke(main, [name, "--help"])
        assert shown.exit_code == 0, (name, shown.output, shown.exception)
        assert "Examples:" in shown.output, f"{name} --help shows no example"


def test_every_dependency_is_explained_in_the_design() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {line.split(">")[0].split("[")[0].split(";")[0].strip() for line in project["dependencies"]}
    text = (ROOT / "docs" / "design.md").read_text()
    assert [name for name in named if name not in text] == []


def test_no_lock_file_and_no_name_of_a_package_index_is_committed() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    if not any(files):
        pytest.skip("not a checkout")
    assert not [name for name in files if name.endswith((".lock", "package-lock.json"))]
    hosts = ("pypi" + ".org", "files.pythonhosted" + ".org", "registry.npmjs" + ".org")
    assert not [
        n
        for n in files
        if n and (ROOT / n).is_file() and any(h.encode() in (ROOT / n).read_bytes() for h in hosts)
    ]
