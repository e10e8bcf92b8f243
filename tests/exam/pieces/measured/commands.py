"""Held out: mlx_lm.lora as a command line with a configuration file; each slot says its lines of that file."""

from tests.exam import bases
from tests.exam.grammar import Piece, piece

FILE = "lora.yaml"
RECORDS = bases.data()["plain.jsonl"].splitlines(keepends=True)


def told(name: str, lines: str, body: str = "", **more: object) -> Piece:
    """A piece that is some lines of the configuration."""
    files = more.pop("files", {})
    return piece(name, body, needs=("command", *more.pop("needs", ())), files={FILE: lines, **files}, **more)


SERVED = """
#: saved(Path(S.out) / "adapters.safetensors")
x_model, x_tok = load("base", adapter_path=S.out)
#: reloaded(x_model)
"""
TIMES = "iters: S.steps\nsteps_per_report: 4\nsteps_per_eval: 8\nval_batches: 1\nsave_every: 100\nadapter_path: S.out\n"

PIECES = [
    piece(
        "model/command-line",
        "#: command_line()\n",
        gives=("command", "own"),
        files={FILE: 'model: "base"\ntrain: true\nseed: S.seed\n'},
    ),
    told(
        "trained/command-lora",
        "fine_tune_type: lora\nnum_layers: S.layers\nlora_parameters:\n  rank: S.rank\n  scale: S.scale\n  dropout: S.dropout\n",
        gives=("lora",),
        weight=2,
    ),
    told(
        "trained/command-keys",
        "fine_tune_type: lora\nnum_layers: S.layers\nlora_parameters:\n  rank: S.rank\n  scale: S.scale\n  dropout: S.dropout\n"
        '  keys: ["self_attn.q_proj", "self_attn.v_proj"]\n',
        gives=("lora", "lora-keys"),
    ),
    told(
        "trained/command-dora",
        "fine_tune_type: dora\nnum_layers: S.layers\nlora_parameters:\n  rank: S.rank\n  scale: S.scale\n  dropout: S.dropout\n"
        '  keys: ["self_attn.q_proj", "self_attn.v_proj"]\n',
        gives=("lora", "lora-keys", "dora"),
        bars=("qwen2-4bit",),
    ),
    told(
        "trained/command-full",
        "fine_tune_type: full\nnum_layers: S.layers\n",
        gives=("full",),
        bars=("qwen2-4bit", "llama-bfloat16"),
        settings={"lr": 1e-3},
    ),
    told("data/command-chat", 'data: "data"\nmask_prompt: true\n', gives=("chat",)),
    told(
        "data/command-completions",
        'data: "records"\nmask_prompt: true\n',
        files={"records/train.jsonl": "".join(RECORDS[:10]), "records/valid.jsonl": "".join(RECORDS[10:])},
        gives=("chat",),
    ),
    told("batching/command", "batch_size: S.batch\nmax_seq_length: S.max_len\n"),
    told("loss/command", ""),
    told("optimizer/command-adam", "optimizer: adam\nlearning_rate: S.lr\n"),
    told(
        "optimizer/command-cosine",
        "optimizer: adamw\nlearning_rate: S.lr\nlr_schedule:\n  name: cosine_decay\n  warmup: S.warmup\n  arguments: [S.lr, 30]\n",
        gives=("decay",),
    ),
    told(
        "loop/command",
        TIMES,
        'sys.argv = ["mlx_lm.lora", "--config", "lora.yaml"]\nlora.main()\n' + SERVED,
        settings={"steps": 24},
        weight=2,
    ),
    told(
        "loop/command-resumed",
        TIMES,
        'sys.argv = ["mlx_lm.lora", "--config", "lora.yaml", "--adapter-path", "stage1"]\nlora.main()\n'
        'sys.argv = ["mlx_lm.lora", "--config", "lora.yaml", "--resume-adapter-file", "stage1/adapters.safetensors"]\nlora.main()\n'
        + SERVED,
        settings={"steps": 16},
        gives=("resumed",),
    ),
    told("save/command", "", gives=("adapter-folder", "by-command")),
]
