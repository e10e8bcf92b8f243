"""Held out: faults of a configuration file of mlx_lm.lora, and of what is done with its adapters."""

from tests.exam import bases, proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, edits

FILE = "lora.yaml"


def told(slot, old, new):
    return lambda program: program.in_file(slot, FILE, old, new)


def noted(key, facts):
    return proofs.notes(facts, key)[-1]


def shortened(program: Program) -> Program | None:
    return program.setting(max_len=26) if "command" in program.tags else None


def validated_on_its_rows(program: Program) -> Program | None:
    if program.pieces["data"].name != "data/command-chat":
        return None
    rows = bases.data()["data/train.jsonl"]
    return Program(**{**vars(program), "files": {**program.files, "data/valid.jsonl": rows}})


def between_stages(lines):
    """Statements between the first command and the one that resumes from it."""
    mark = 'sys.argv = ["mlx_lm.lora", "--config", "lora.yaml", "--resume'
    return edits("loop", mark, lines + mark)


RENAMED = "mx.save_safetensors('stage1/adapters.safetensors', {'base_model.' + x_n: x_v for x_n, x_v in mx.load('stage1/adapters.safetensors').items()})\n"
HALVED = "mx.save_safetensors('stage1/adapters.safetensors', {x_n: x_v for x_n, x_v in mx.load('stage1/adapters.safetensors').items() if 'layers.0' in x_n})\n"

OPERATORS = [
    Operator(
        "prompt-in-loss/masking-spelled-as-on-the-command-line",
        told("data", "mask_prompt: true", "mask-prompt: true"),
        lambda faulty, twin: proofs.share(faulty, "prompt") > 0.05 > proofs.share(twin, "prompt"),
        needs=("command",),
        also=("setting-not-in-force",),
    ),
    Operator(
        "setting-not-in-force/rate-under-another-name",
        told("optimizer", "optimizer: adam\nlearning_rate", "optimizer: adam\nlr"),
        lambda faulty, twin: noted("first rate", faulty) < 0.1 * noted("first rate", twin),
        needs=("command",),
        also=("loss-not-decreasing",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/parameters-of-the-adapter-not-indented",
        told("trained", "  keys: [", "keys: ["),
        lambda faulty, twin: faulty["modules"] != twin["modules"],
        needs=("command", "lora-keys"),
        also=("lora-partial", "config-lost"),
        mild=True,
    ),
    Operator(
        "optimizer-never-stepped/no-iterations",
        told("loop", "iters: S.steps", "iters: 0"),
        lambda faulty, twin: noted("updates", faulty) == 0 < noted("updates", twin),
        needs=("command",),
        bars=("resumed",),
    ),
    Operator(
        "learning-rate-zero/schedule-from-nothing",
        told("optimizer", "arguments: [S.lr, 30]", "arguments: [0.0, 30]\n  warmup_init: 0.0"),
        lambda faulty, twin: noted("first rate", faulty) == noted("last rate", faulty) == 0,
        needs=("command",),
    ),
    Operator(
        "answers-truncated/longest-row-set-too-short",
        shortened,
        lambda faulty, twin: proofs.share(faulty, "end") < 0.5 * proofs.share(twin, "end"),
        needs=("command",),
        also=("end-never-trained", "all-tokens-masked"),
    ),
    Operator(
        "evaluated-on-training-data/folder-with-one-file-twice",
        validated_on_its_rows,
        lambda faulty, twin: noted("shared", faulty) > 1 > noted("shared", twin),
        needs=("command",),
        mild=True,
        alone=True,
    ),
    Operator(
        "adapter-not-loaded/resumed-from-names-of-another-library",
        between_stages(RENAMED),
        lambda faulty, twin: faulty["fresh effect"] < 1e-6 < twin["fresh effect"],
        needs=("resumed", "lora"),
    ),
    Operator(
        "adapter-incomplete/resumed-from-one-layer",
        between_stages(HALVED),
        lambda faulty, twin: faulty["fresh effect"] != twin["fresh effect"],
        needs=("resumed", "lora"),
        also=("adapter-not-loaded",),
    ),
    Operator(
        "stale-model-in-generation/adapter-path-forgotten",
        edits("loop", 'load("base", adapter_path=S.out)', 'load("base")'),
        lambda faulty, twin: any(proofs.stale(faulty)),
        needs=("command", "asked"),
        bars=("fused", "reloaded", "reloaded-apart"),
        also=("adapter-not-loaded",),
    ),
]  # fmt: skip
