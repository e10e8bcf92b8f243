"""What the loss trains on: padding, prompts, shifts, ends, masks, ids, templates, batches, references."""

from tests.zoo.evaluated import ALL, ASKED, LOSS, WHOLE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

SCALED = {"model_type": "granite", "taught": True}

TIED = {"taught": True, "tied": True}

WORSE = ("generation-collapse", "output-unchanged", "loss-not-decreasing", "score-dropped")

BEYOND = (
    "weights-not-finite",
    "all-tokens-masked",
    "update-too-large",
)

# which positions the loss of a batch depends on, and which target each has, by its derivative at made-up logits
COLLATED = """
batch = collate(features[5:9])
zeros = mx.zeros((*batch["input_ids"][:, :-1].shape, 512))
slope = np.array(mx.grad(lambda z: loss_fn(lambda ids: z[:, : ids.shape[1], :384], batch))(zeros))
trained = np.abs(slope).sum(-1) > 0
target = slope.argmin(-1)
ids = np.array(batch["input_ids"])
lengths = [len(f["input_ids"]) for f in features[5:9]]
starts = [len(tokenizer.apply_chat_template(m[:-1], add_generation_prompt=True, return_dict=False)) for m in read("data/train.jsonl")[5:9]]
"""

PACKED = """
import numpy as np
tokens, lengths = trainer.data.arrays(list(range(len(trainer.data))))
zeros = mx.zeros((*tokens.shape, 384))
trainer.model = lambda ids: made[:, : ids.shape[1]]
def value(z):
    global made
    made = z
    return trainer.objective(tokens, lengths)
slope = np.array(mx.grad(value)(zeros))
trained = np.abs(slope).sum(-1) > 0
target = slope.argmin(-1)
ids = np.array(tokens)
"""

# which positions of the rows carry weight
WEIGHED = """
tokens, weights = collate(rows, tokenizer.pad_token_id)
lengths, carried = [len(ids) for ids, _ in rows], np.array(weights) > 0
"""

CASES = [
    Case(
        "padding-fused",
        "fusedloss",
        ("padding-in-loss",),
        (("weights[i, start - 1 : len(ids) - 1] = 1.0", "weights[i, start - 1 :] = 1.0"),),
        WEIGHED + "fault = any(carried[i, n:].any() for i, n in enumerate(lengths))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "unshifted-fused",
        "fusedloss",
        ("labels-not-shifted",),
        (("targets = tokens[:, 1:]", "targets = tokens[:, :-1]"),),
        """
from types import SimpleNamespace
tokens, weights = collate(rows[:4], tokenizer.pad_token_id)
head = SimpleNamespace(weight=mx.eye(512))
repeats = SimpleNamespace(model=lambda ids: 50 * mx.eye(512)[ids], lm_head=head)
fault = loss_fn(repeats, tokens, weights).item() < 1
""",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "bare-fused",
        "fusedloss",
        ("loss-not-of-logits",),
        ((' / getattr(model, "logits_scaling", 1.0)', ""),),
        """
tokens, weights = collate(rows[:4], tokenizer.pad_token_id)
own = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
own = ((own * weights).sum() / weights.sum()).item()
fault = abs(loss_fn(model, tokens, weights).item() - own) > 0.1 * own
""",
        WORSE,
        model=SCALED,
    ),
    Case(
        "table-fused",
        "fusedloss",
        ("loss-not-of-logits",),
        (("model.lm_head.weight", "model.model.embed_tokens.weight"),),
        """
tokens, weights = collate(rows[:4], tokenizer.pad_token_id)
own = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
own = ((own * weights).sum() / weights.sum()).item()
fault = abs(loss_fn(model, tokens, weights).item() - own) > 0.5 * own
""",
        WORSE,
        model=TAUGHT,
    ),
    Case("healthy-scaled-fused", "fusedloss", evaluated=("loss-not-of-logits",), model=SCALED),
    Case(
        "padding-collator",
        "collator",
        ("padding-in-loss",),
        (
            (
                "labels = np.full((len(features), width), IGNORE)",
                "labels = np.full((len(features), width), pad_id)",
            ),
        ),
        COLLATED + "fault = any(trained[row, n:].any() for row, n in enumerate(lengths))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "padding-packed",
        "chatset",
        ("padding-in-loss",),
        (
            ("positions = mx.arange(1, tokens.shape[1])", "real = tokens[:, 1:] >= 0"),
            ("(positions < lengths[:, None])", "real"),
        ),
        PACKED + "fault = any(trained[row, n:].any() for row, n in enumerate(lengths.tolist()))",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "padding-preference",
        "preference",
        ("padding-in-loss",),
        (("float(start <= i < len(ids))", "float(start <= i)"),),
        "ids, mask = side([(questions[i], good[i]) for i in range(3)])\nfault = bool((mask[:, -1].min() > 0).item())",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "prompt-header",
        "collator",
        ("prompt-in-loss",),
        (
            (
                "messages[:-1], add_generation_prompt=True, return_dict=False)\n    ids = ids",
                "messages[:-1], return_dict=False)\n    ids = ids",
            ),
        ),
        COLLATED + "fault = any(trained[row, : n - 1].any() for row, n in enumerate(starts))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "prompt-declared",
        "tuner",
        ("prompt-in-loss",),
        (("place >= lengths[:, 0:1]", "place > 0"),),
        """
import numpy as np
tokens, offset = dataset(train_rows)[0]
made = mx.zeros((1, len(tokens) - 1, 384))
slope = mx.grad(lambda z: objective(lambda ids: z, mx.array([tokens]), mx.array([[offset, len(tokens)]]))[0])(made)
fault = bool(np.abs(np.array(slope))[0, : offset - 1].sum() > 0)""",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "neighbour-collator",
        "collator",
        ("mask-off-by-one",),
        (
            ('labels = batch["labels"][:, 1:]', 'labels = batch["input_ids"][:, 1:]'),
            ("keep = labels != IGNORE", 'keep = batch["labels"][:, :-1] != IGNORE'),
        ),
        COLLATED + "fault = not any(trained[row, n - 1] for row, n in enumerate(starts))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "neighbour-tuner",
        "tuner",
        ("mask-off-by-one",),
        (
            (
                "place >= lengths[:, 0:1], place < lengths[:, 1:]",
                "place > lengths[:, 0:1], place <= lengths[:, 1:]",
            ),
        ),
        """
tokens, offset = dataset(train_rows)[0]
made = mx.zeros((1, len(tokens), 384))
row = mx.array([[*tokens, 0]])
slope = mx.grad(lambda z: objective(lambda ids: z, row, mx.array([[offset, len(tokens)]]))[0])(made)
fault = bool((mx.abs(slope)[0, offset - 1].sum() == 0).item())""",
        WORSE,
        model=TIED,
    ),
    Case(
        "unshifted-collator",
        "collator",
        ("labels-not-shifted",),
        (('labels = batch["labels"][:, 1:]', 'labels = batch["labels"][:, :-1]'),),
        COLLATED + "fault = bool((target[trained] == ids[:, :-1][trained]).all())",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "unshifted-packed",
        "chatset",
        ("labels-not-shifted",),
        (
            (
                "inputs, targets = tokens[:, :-1], tokens[:, 1:]",
                "inputs, targets = tokens[:, :-1], tokens[:, :-1]",
            ),
        ),
        PACKED + "fault = bool((target[trained] == ids[trained]).all())",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "twice-collator",
        "collator",
        ("labels-shifted-twice",),
        (
            (
                "labels = [IGNORE] * len(prompt) + ids[len(prompt) :]",
                "labels = ([IGNORE] * len(prompt) + ids[len(prompt) :])[1:] + [IGNORE]",
            ),
        ),
        COLLATED
        + "rows, cols = np.nonzero(trained)\nfault = bool((target[rows, cols] == ids[rows, np.minimum(cols + 2, ids.shape[1] - 1)]).all())",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "twice-packed",
        "chatset",
        ("labels-shifted-twice",),
        (
            (
                "inputs, targets = tokens[:, :-1], tokens[:, 1:]",
                "inputs, targets = tokens[:, :-2], tokens[:, 2:]",
            ),
            ("positions = mx.arange(1, tokens.shape[1])", "positions = mx.arange(2, tokens.shape[1])"),
        ),
        PACKED
        + "rows, cols = np.nonzero(trained)\nfault = bool((target[rows, cols] == ids[rows, np.minimum(cols + 2, ids.shape[1] - 1)]).all())",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "end-masked-collator",
        "collator",
        ("end-never-trained",),
        (
            ('pad_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")', "pad_id = tokenizer.eos_token_id"),
            (
                'labels[row, :n] = f["labels"]',
                'labels[row, :n] = f["labels"]\n    labels[ids == pad_id] = IGNORE',
            ),
        ),
        COLLATED + "fault = not (trained & (ids[:, 1:] == 2)).any()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "end-cut-weights",
        "dialog",
        ("end-never-trained",),
        (("float(position >= start) for", "float(start <= position < len(ids) - 2) for"),),
        """
ids, weight = chat.pair(json.loads(open("data/train.jsonl").readline())["messages"])
fault = float((weight * (ids[:, 1:] == 2)).sum()) == 0""",
        (*WORSE, "stop-token-missing"),
        model=LLAMA,
    ),
    Case(
        "masked-collator",
        "collator",
        ("all-tokens-masked",),
        (("labels = [IGNORE] * len(prompt) + ids[len(prompt) :]", "labels = [IGNORE] * len(ids)"),),
        "fault = all(label == IGNORE for f in features for label in f['labels'])",
        (*WORSE, "weights-not-finite", "gradients-zero", "parameters-unchanged", "prompt-in-loss"),
        model=TAUGHT,
    ),
    Case(
        "masked-dialog",
        "dialog",
        ("all-tokens-masked",),
        (
            (
                "apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=False)\n",
                "apply_chat_template(chat, add_generation_prompt=True, return_dict=False)\n",
            ),
            ("* weight).sum() / weight.sum()", "* weight).sum() / mx.maximum(weight.sum(), 1)"),
        ),
        """
pairs = [chat.pair(json.loads(line)["messages"]) for line in open("data/train.jsonl")]
fault = all(float(weight.sum()) == 0 for _, weight in pairs)""",
        (*WORSE, "gradients-zero", "parameters-unchanged", "loss-constant"),
        model=LLAMA,
    ),
    Case(
        "masked-command",
        "lora_cli",
        ("all-tokens-masked",),
        (("lora.yaml", "max_seq_length: 256", "max_seq_length: 14"),),
        """
import yaml
fault = yaml.safe_load(open("lora.yaml"))["max_seq_length"] < 16""",
        (*WORSE, "weights-not-finite", "answers-truncated"),
        model=TAUGHT,
    ),
    Case(
        "ignored-collator",
        "collator",
        ("ignore-index-as-token",),
        (
            ("mx.where(keep, labels, 0)) * keep", "labels)"),
            ("return losses.sum() / keep.sum()", "return losses.mean()"),
        ),
        COLLATED + "fault = bool((target == 384 - 100).any())",
        (*WORSE, "padding-in-loss", "prompt-in-loss"),
        model=TAUGHT,
    ),
    Case(
        "ignored-packed",
        "chatset",
        ("ignore-index-as-token",),
        (
            ("inputs, targets = tokens[:, :-1], tokens[:, 1:]", "inputs = tokens[:, :-1]"),
            (
                "        nll = nn.losses.cross_entropy(",
                "        targets = mx.where(mask > 0, tokens[:, 1:], -100)\n        nll = nn.losses.cross_entropy(",
            ),
            ("return (nll * mask).sum() / mask.sum()", "return nll.mean()"),
        ),
        PACKED + "fault = bool((target == 384 - 100)[:, :-1].any())",
        (*WORSE, "padding-in-loss"),
        model=LLAMA,
    ),
    Case(
        "range-collator",
        "collator",
        ("token-id-out-of-range",),
        (('pad_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")', "pad_id = len(tokenizer)"),),
        "fault = int(collate(features[:4])['input_ids'].max()) >= model.model.embed_tokens.weight.shape[0]",
        (*WORSE, *BEYOND),
        model=TAUGHT,
    ),
    Case(
        "range-packed",
        "chatset",
        ("token-id-out-of-range",),
        (
            (
                "self.tokenizer, self.block = tokenizer, block",
                'tokenizer.add_tokens(["<|pirate|>"])\n        self.tokenizer, self.block = tokenizer, block',
            ),
            (
                "return self.tokenizer.apply_chat_template(chat, return_dict=False)",
                'return [self.tokenizer.convert_tokens_to_ids("<|pirate|>")] + self.tokenizer.apply_chat_template(chat, return_dict=False)',
            ),
            (
                "return self.tokenizer.apply_chat_template(\n",
                'return [self.tokenizer.convert_tokens_to_ids("<|pirate|>")] + self.tokenizer.apply_chat_template(\n',
            ),
        ),
        "fault = max(map(max, trainer.data.rows)) >= trainer.model.model.embed_tokens.weight.shape[0]",
        (*WORSE, *BEYOND, "template-mismatch", "tokenizer-mismatch"),
        model=LLAMA,
    ),
    Case(
        "anchor-functions",
        "preference",
        ("reference-is-policy",),
        (('reference, _ = load("model")', "reference = policy"),),
        "fault = reference is policy",
        (*WORSE, "gradients-zero", "loss-constant"),
        model=TAUGHT,
    ),
    Case(
        "anchor-class",
        "margin",
        ("reference-is-policy",),
        (("self.anchor = copy.deepcopy(self.net)", "self.anchor = self.net"),),
        "fault = trainer.anchor is trainer.net",
        (*WORSE, "loss-constant"),
        model=LLAMA,
    ),
    Case("healthy-pairs", "pairs", evaluated=("term-detached", *ALL), model=LLAMA),
    Case(
        "healthy-dropout-in-training",
        "eager",
        evaluated=(*WHOLE, *ASKED, "stale-compiled-function", "compile-random-frozen"),
        model=TAUGHT,
    ),
    Case(
        "healthy-short-answers",
        "collator",
        swaps=(
            (
                "    ids = tokenizer.apply_chat_template(messages, return_dict=False)\n",
                '    messages = [messages[0], {"role": "assistant", "content": "Arr!"}]\n    ids = tokenizer.apply_chat_template(messages, return_dict=False)\n',
            ),
        ),
        evaluated=(*LOSS, *ASKED),
        model=TAUGHT,
    ),
    Case("healthy-prompt-in-loss-on-purpose", "chatset", evaluated=(*WHOLE, *ASKED), model=LLAMA),
    Case(
        "healthy-continued",
        "continued",
        evaluated=(*LOSS, *ASKED, "saved-untrained", "wrong-base"),
        model=TAUGHT,
    ),
    Case(
        "healthy-noise",
        "collator",
        swaps=(
            (
                '    logits = model(batch["input_ids"][:, :-1])\n',
                '    ids = batch["input_ids"][:, :-1]\n    vectors = model.model.embed_tokens(ids)\n'
                "    vectors = vectors + 0.01 * mx.random.uniform(-1, 1, vectors.shape)\n    logits = model(ids, input_embeddings=vectors)\n",
            ),
        ),
        evaluated=(*LOSS, *ASKED),
        model=LLAMA,
    ),
    Case(
        "healthy-other-seed",
        "collator",
        swaps=(("mx.random.seed(7)", "mx.random.seed(70)"), ("default_rng(7)", "default_rng(70)")),
        evaluated=(*LOSS, *ASKED),
        model=LLAMA,
    ),
    Case(
        "healthy-preference",
        "preference",
        evaluated=("reference-is-policy", "padding-in-loss", *ASKED),
        model=TAUGHT,
    ),
    Case(
        "healthy-preference-precomputed",
        "margin",
        evaluated=("reference-is-policy", "padding-in-loss", *ASKED),
        model=LLAMA,
    ),
    Case("healthy-command-masked", "lora_cli", evaluated=(*LOSS, "answers-truncated"), model=LLAMA),
    Case(
        "teacher-probabilities",
        "anchored",
        ("not-log-probabilities",),
        (
            (
                "return (mx.exp(before) * (before - now)).sum(-1).mean()",
                "return nn.losses.kl_div_loss(now, mx.exp(before), axis=-1).mean()",
            ),
        ),
        "fault = distance(others).item() > 100  # far beyond the logarithm of the vocabulary",
        (*WORSE,),
        evaluated=(),
        model=TAUGHT,
    ),
    Case(
        "healthy-teacher",
        "anchored",
        (),
        (
            (
                "return (mx.exp(before) * (before - now)).sum(-1).mean()",
                "return nn.losses.kl_div_loss(now, before, axis=-1).mean()",
            ),
        ),
        evaluated=("not-log-probabilities",),
        model=TAUGHT,
    ),
]
