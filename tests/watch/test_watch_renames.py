"""What is saved under a temporary name and renamed is found under the name that it has."""

from __future__ import annotations

from pathlib import Path

from forensics.capture.spool import Spool
from tests.support import training

PROGRAM = """
import os, shutil
from pathlib import Path

lora()
optimizer, value_and_grad = optim.SGD(0.1), nn.value_and_grad(model, loss)
value, gradients = value_and_grad(model, batch)
optimizer.update(model, gradients)
adapter = dict(tree_flatten(model.trainable_parameters()))
os.makedirs("step-1.tmp")
mx.save_safetensors("step-1.tmp/adapters.part.safetensors", adapter)
os.replace("step-1.tmp/adapters.part.safetensors", "step-1.tmp/adapters.safetensors")
Path("step-1.tmp").rename("step-1")
mx.save_safetensors("kept.safetensors", adapter)
try:
    os.rename("kept.safetensors", "nowhere/kept.safetensors")
except FileNotFoundError:
    print("kept")
"""


def test_saved_files_have_their_last_names() -> None:
    run = training.run_text("renamed", training.HEAD + PROGRAM)
    assert (run.status, run.stdout) == (0, "kept\n")
    place = run.spool.parent.resolve()
    spool = Spool(run.spool)
    found = {(row["path"], row["file"]) for row in spool.rows("saved_tensors")}
    names = ("step-1/adapters.safetensors", "kept.safetensors")
    assert found == {(str(place / name), Path(name).name) for name in names}
    events = [row["detail"] for row in spool.rows("events") if row["kind"] == "save"]
    assert [detail["path"] for detail in events] == [str(place / name) for name in names]  # type: ignore[index, call-overload]
