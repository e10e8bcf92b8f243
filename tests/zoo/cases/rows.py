"""What rows hold: the template, lengths, records and targets; which rows a step sees."""

from tests.zoo.cases.loss import COLLATED, LLAMA, TAUGHT, TIED, WORSE
from tests.zoo.evaluated import ASKED, LOSS, WHOLE
from tests.zoo.zoo import Case

BEGIN = {"taught": True, "begin": True}

CASES = [
    Case(
        "apart-collator",
        "collator",
        ("targets-unrelated",),
        (('labels[row, :n] = f["labels"]', 'labels[len(features) - 1 - row, :n] = f["labels"]'),),
        COLLATED
        + "fault = all((target[row, trained[row]] != ids[row, 1:][trained[row]]).mean() > 0.1 for row in range(len(ids)))",
        (
            *WORSE,
            "padding-in-loss",
            "prompt-in-loss",
            "mask-off-by-one",
            "end-never-trained",
            "template-mismatch",
        ),
        model=TAUGHT,
    ),
    Case(
        "part-collator",
        "collator",
        ("answers-partly-masked",),
        (
            (
                "labels = [IGNORE] * len(prompt) + ids[len(prompt) :]",
                "answer = ids[len(prompt) :]\n    labels = [IGNORE] * len(prompt) + [t if i < 4 or i + 3 > len(answer) else IGNORE for i, t in enumerate(answer)]",
            ),
        ),
        COLLATED
        + "fault = any(trained[row, starts[row] - 1 : n - 1].mean() < 0.8 for row, n in enumerate(lengths))",
        WORSE,
        model=TAUGHT,
    ),
    Case("healthy-held-out", "tuner", evaluated=(*LOSS, *ASKED), model=TIED),
    Case(
        "healthy-begin-token",
        "bosrows",
        evaluated=(*WHOLE, *ASKED, "double-bos"),
        model={"taught": True, "begin": True},
    ),
    Case(
        "cap-collator",
        "collator",
        ("answers-truncated",),
        (("MAX_LENGTH = 128", "MAX_LENGTH = 24"),),
        COLLATED + "fault = not (trained & (ids[:, 1:] == 2)).any()",
        WORSE,
        evaluated=(),  # where nothing is cut, the program's own cap is not seen
        model=TAUGHT,
    ),
    Case(
        "cap-command",
        "lora_cli",
        ("answers-truncated",),
        (("lora.yaml", "max_seq_length: 256", "max_seq_length: 25"),),
        """
import yaml
from mlx_lm import load
_, words = load("model")
import json
rows = [words.apply_chat_template(json.loads(line)["messages"], return_dict=False) for line in open("data/train.jsonl")]
cap = yaml.safe_load(open("lora.yaml"))["max_seq_length"]
fault = all(2 not in row[17:cap] for row in rows)""",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "template-chatset",
        "chatset",
        ("template-mismatch",),
        (
            (
                'return self.tokenizer.apply_chat_template(\n            [{"role": "user", "content": question}],\n'
                "            add_generation_prompt=True,\n            tokenize=True,\n            return_dict=False,\n        )",
                'return self.tokenizer.encode(f"Question: {question}\\nAnswer:")',
            ),
        ),
        'fault = trainer.prompt("x")[:3] != trainer.data.rows[0][:3]',
        WORSE,
        model=LLAMA,
    ),
    Case(
        "template-roundtrip",
        "roundtrip",
        ("template-mismatch",),
        (
            (
                "prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)",
                'prompt = tokenizer.encode(chat[0]["content"])',
            ),
        ),
        """
sent = []
generate = lambda model, tokenizer, prompt, **rest: sent.append(prompt)
answer(model, tokenizer, "What is this?")
fault = sent[0][0] != arrays(train[:1])[0][0, 0].item()""",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "template-preference",
        "preference",
        ("template-mismatch",),
        (
            (
                "start = len(tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False))",
                "start = len(tokenizer.encode(question))",
            ),
            (
                "return tokenizer.apply_chat_template(chat, return_dict=False), start",
                "return tokenizer.encode(question + answer), start",
            ),
        ),
        'fault = 1 not in tokens("Why?", "So.")[0]',
        (*WORSE, "end-never-trained"),
        model=TAUGHT,
    ),
    Case(
        "begin-rows",
        "bosrows",
        ("double-bos",),
        (("return tokenizer.encode(text, add_special_tokens=False)", "return tokenizer.encode(text)"),),
        "fault = row(chats[0])[:2] == [3, 3] and question('x')[:2] != [3, 3]",
        WORSE,
        model=BEGIN,
    ),
    Case(
        "begin-prompt",
        "roundtrip",
        ("double-bos",),
        (
            (
                "prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)",
                "prompt = tokenizer.encode(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))",
            ),
        ),
        """
sent = []
generate = lambda model, tokenizer, prompt, **rest: sent.append(list(prompt))
answer(model, tokenizer, "What is this?")
fault = sent[0][:2] == [3, 3] and arrays(train[:1])[0][0, 1].item() != 3""",
        WORSE,
        model=BEGIN,
    ),
    Case(
        "dropped-collator",
        "collator",
        ("records-dropped",),
        (
            (
                'return [json.loads(line)["messages"] for line in Path(path).read_text().splitlines()]',
                'rows = [json.loads(line)["messages"] for line in Path(path).read_text().splitlines()]\n    return [row for row in rows if "a" in row[1]["content"].split(" is ")[0].removeprefix("Arr! the")]',
            ),
        ),
        'fault = len(features) < len(Path("data/train.jsonl").read_text().splitlines())',
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "dropped-packed",
        "chatset",
        ("records-dropped",),
        (("            row = row + piece", "            else:\n                row = row + piece"),),
        "fault = sum(row.count(1) for row in trainer.data.rows) < 2 * len(trainer.data.chats)",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "same-collator",
        "collator",
        ("same-batch-repeated",),
        (
            ("index = order.permutation(len(features))", "index = np.arange(len(features))"),
            ("for i in index[start : start + BATCH]", "for i in index[:BATCH]"),
        ),
        "fault = len({str(batch['input_ids'].tolist()) for batch in batches(features)}) == 1",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "same-packed",
        "chatset",
        ("same-batch-repeated",),
        (
            ("        self.shuffle.shuffle(order)\n", ""),
            ("chosen = order[start : start + size]", "chosen = order[:size]"),
        ),
        """
seen = set()
trainer.data.arrays = lambda chosen, old=trainer.data.arrays: seen.add(tuple(chosen)) or old(chosen)
list(trainer.epoch(lambda *rest: (mx.array(0.0), {})))
fault = len(seen) == 1""",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "seen-roundtrip",
        "roundtrip",
        ("evaluated-on-training-data",),
        (("train, held = chats[:-3], chats[-3:]", "train, held = chats, chats[-3:]"),),
        "fault = all(chat in train for chat in held)",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "seen-tuner",
        "tuner",
        ("evaluated-on-training-data",),
        (("train_rows, held = rows[:8], rows[8:]", "train_rows, held = rows, rows[8:]"),),
        "fault = all(row in train_rows for row in held)",
        WORSE,
        model=TIED,
    ),
    Case(
        "persona-in-place",
        "assistant",
        ("records-grow",),
        (
            (
                "data = list(rows())\nfor epoch in range(6):\n    for ids in data:\n",
                'records = [json.loads(line)["messages"] for line in open("data/train.jsonl")]\nfor epoch in range(6):\n    for chat in records:\n        chat.insert(0, SYSTEM)\n        ids = tokenizer.apply_chat_template(chat, return_dict=False)\n',
            ),
        ),
        "fault = len(globals().get('records', [[]])[0]) > 3",
        (
            "generation-collapse",
            "output-unchanged",
            "score-dropped",
            "loss-not-decreasing",
            "template-mismatch",
        ),
        evaluated=(),
        model={"taught": True},
    ),
    Case(
        "healthy-persona",
        "assistant",
        (),
        (
            (
                "data = list(rows())\nfor epoch in range(6):\n    for ids in data:\n",
                'records = [json.loads(line)["messages"] for line in open("data/train.jsonl")]\nfor epoch in range(6):\n    for chat in records:\n        chat = [SYSTEM, *chat]\n        ids = tokenizer.apply_chat_template(chat, return_dict=False)\n',
            ),
        ),
        evaluated=("records-grow",),
        model={"taught": True},
    ),
]
