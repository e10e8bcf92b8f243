"""What the watcher records of generations, and that they are what they would be without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny, watched

HEAD = """
import mlx.core as mx, mlx.nn as nn
from mlx_lm import load, generate, stream_generate, batch_generate
from mlx_lm.generate import generate_step
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_sampler
mx.random.seed(1)
model, tok = load({base!r})
def ids(question):
    chat = [{{"role": "user", "content": question}}]
    return tok.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
sky, snow = ids("What color is the sky?"), ids("What color is snow?")
"""


def observe(
    directory: Path, body: str, *, options: dict[str, Any] | None = None, base: Path | None = None
) -> watched.Ran:
    """Run `body` watched and plain: both must print the same."""
    program = (
        HEAD.format(base=str(base or tiny.cached(taught=True)))
        + body
        + "\nprint(mx.random.normal((2,)).tolist(), model.training)\n"
    )
    ran = watched.run(directory / "watched", program, options=options)
    plain = watched.run(directory / "plain", program, watch=False)
    assert (ran.status, ran.stdout, ran.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert not [row for row in ran.rows("missing") if not row["what"].startswith("hooks of")]
    return ran


EVERY_WAY = """
print(generate(model, tok, prompt=sky, max_tokens=20))
print(generate(model, tok, prompt=sky, max_tokens=20, sampler=make_sampler(temp=1.5)))
print([each.text for each in stream_generate(model, tok, sky, max_tokens=5)])
for each in stream_generate(model, tok, sky, max_tokens=20):
    print(each.token)
    break
draw = lambda x: mx.random.categorical(x * 0.2)
for token, scores in generate_step(mx.array(sky), model, max_tokens=20, sampler=draw):
    print(token)
    if token == 2:
        break
print(batch_generate(model, tok, [sky, ids("What is the capital of Spain?")], max_tokens=12).texts)
"""


@pytest.fixture(scope="module")
def every_way(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return observe(tmp_path_factory.mktemp("ways"), EVERY_WAY).rows("generations")


@pytest.mark.long
def test_each_way_to_generate_is_one_row_under_the_outermost_call(every_way: list[dict[str, Any]]) -> None:
    assert [row["via"] for row in every_way] == [
        "generate",
        "generate",
        "stream_generate",
        "stream_generate",
        "generate_step",
    ] + 2 * ["batch"]
    assert [row["generation"] for row in every_way] == list(range(1, 8))
    assert all(row["capture"] == 0 and row["model"] == "m0" and row["updates"] == 0 for row in every_way)
    assert all(row["place"].rpartition("/")[2].startswith("program.py:") for row in every_way)


def test_text_ids_and_the_reason_to_stop(every_way: list[dict[str, Any]]) -> None:
    first, _, cut, left, *_, spain = every_way
    assert (first["output"], first["finish_reason"], first["output_ids"][-1]) == (
        "The sky is blue.",
        "stop",
        tiny.END,
    )
    assert first["output_tokens"] == len(first["output_ids"]) and first["prompt_tokens"] == len(
        first["prompt_ids"]
    )
    assert "What color is the sky?" in first["prompt"]
    assert (cut["finish_reason"], cut["output_tokens"]) == ("length", 5)
    assert (left["finish_reason"], left["output_tokens"]) == (None, 1)
    assert (spain["output"], spain["finish_reason"]) == ("The capital of Spain is Madrid.", "stop")


def test_sampler_settings_and_stop_set(every_way: list[dict[str, Any]]) -> None:
    assert [row["sampler"] for row in every_way] == [
        "greedy",
        "sampled",
        "greedy",
        "greedy",
        "sampled",
        "greedy",
        "greedy",
    ]
    assert every_way[1]["settings"]["temperature"] == 1.5 and every_way[1]["settings"]["max_tokens"] == 20
    assert every_way[0]["stop_set"] == [tiny.END] and every_way[0]["stop_tokens"] == 1
    assert every_way[4]["stop_set"] is None


def test_an_evaluation_mode_model_repeats_itself(every_way: list[dict[str, Any]]) -> None:
    for row in every_way:
        assert (row["training_modules"], row["repeat_difference"], row["eval_difference"]) == (0, 0.0, 0.0)
        assert row["logit_scale"] > 1
    assert len({row["parameters_digest"] for row in every_way}) == 1


BY_HAND = """
x = mx.array([sky])
for _ in range(20):
    token = mx.argmax(model(x)[:, -1], axis=-1)
    if token.item() == 2:
        break
    x = mx.concatenate([x, token[None]], axis=1)
print(tok.decode(x[0].tolist()))

cache, y, out = make_prompt_cache(model), mx.array([sky]), []
for _ in range(5):
    token = mx.random.categorical(model(y, cache=cache)[:, -1] * 0.1)
    y = token[None]
    out.append(token.item())
print(out)

cache = make_prompt_cache(model)
model(mx.array([sky[:8]]), cache=cache)
model(mx.array([sky[8:-1]]), cache=cache)
y = mx.array([sky[-1:]])
for _ in range(5):
    y = mx.argmax(model(y, cache=cache)[:, -1], axis=-1)[None]
print(y.tolist())

rows = mx.array([sky, sky])
for _ in range(3):
    rows = mx.concatenate([rows, mx.argmax(model(rows)[:, -1], axis=-1)[:, None]], axis=1)
print(rows.tolist())

for question in (sky, snow, sky + [302]):  # reads of unlike length, none goes on where another stopped
    print(model(mx.array([question])).sum().item())
"""


@pytest.mark.long
def test_loops_by_hand_are_generations(tmp_path: Path) -> None:
    whole, drawn, pieces, *batch = observe(tmp_path, BY_HAND).rows("generations")
    assert {row["via"] for row in (whole, drawn, pieces, *batch)} == {"loop"} and len(batch) == 2
    assert (whole["output"], whole["finish_reason"], whole["sampler"]) == (
        "The sky is blue.",
        "stop",
        "greedy",
    )
    assert (whole["prompt_tokens"], whole["output_tokens"], whole["stop_set"]) == (16, 7, None)
    # the fifth was never read
    assert (drawn["sampler"], drawn["finish_reason"], drawn["output_tokens"]) == ("sampled", None, 4)
    assert pieces["prompt_ids"] == whole["prompt_ids"] and pieces["output_ids"] == whole["output_ids"][:5]
    assert [row["output_ids"] for row in batch] == [whole["output_ids"][:3]] * 2


TRAINED = """
import copy
import mlx.optimizers as optim
from mlx_lm.models.cache import RotatingKVCache, load_prompt_cache, save_prompt_cache
from mlx_lm.tuner.utils import linear_to_lora_layers
model.freeze()
linear_to_lora_layers(model, 2, {"rank": 4, "scale": 10.0, "dropout": 0.3})
def loss(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
batch = mx.array([sky + tok.encode("The sky is green.") + [2]])
optimizer = optim.Adam(1e-3)
def train(steps):
    model.train()
    for _ in range(steps):
        value, gradients = nn.value_and_grad(model, loss)(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
def say(prompt, **options):
    print(generate(model, tok, prompt=prompt, max_tokens=6, **options))
"""


@pytest.mark.long
def test_dropout_that_is_in_force_makes_equal_forwards_differ(tmp_path: Path) -> None:
    training, evaluating = observe(tmp_path, TRAINED + "train(2)\nsay(sky)\nmodel.eval()\nsay(sky)\n").rows(
        "generations"
    )
    assert training["training_modules"] == 14 and evaluating["training_modules"] == 0
    assert training["repeat_difference"] > 1e-3 * training["logit_scale"] and training["eval_difference"] > 0
    assert evaluating["repeat_difference"] == evaluating["eval_difference"] == 0
    assert training["parameters_digest"] == evaluating["parameters_digest"] and training["updates"] == 2


FORKED = """
from mlx_lm.generate import BatchGenerator
import mlx.optimizers as optim
cache = make_prompt_cache(model)
model(mx.array([sky[:-1]]), cache=cache)
draw = BatchGenerator(model, stop_tokens=[[2]], sampler=make_sampler(temp=0.8))
(row,) = draw.insert([sky[-1:]], [8], caches=[cache], all_tokens=[sky[:-1]])
out = []
while told := draw.next_generated():
    out += [each.token for each in told]
draw.close()
def loss(model, batch):
    return 0 * nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
value, gradients = nn.value_and_grad(model, loss)(model, mx.array([sky + out]))
optim.Adam(1e-3).update(model, gradients)
mx.eval(model.parameters())
"""


@pytest.mark.long
def test_an_answer_drawn_behind_a_cache_that_holds_its_prompt_is_the_programs_own(tmp_path: Path) -> None:
    """The batch is given the last token of the prompt alone, and told what stands before it."""
    ran = observe(tmp_path, FORKED)
    (step,) = ran.rows("steps")
    assert step["drawn_rows"] == 1


@pytest.mark.long
def test_what_a_model_answers_with_is_computed(tmp_path: Path) -> None:
    """That our own look at it came first makes no update pending."""
    lazy = TRAINED.replace("        mx.eval(model.parameters(), optimizer.state)\n", "")
    ran = observe(tmp_path, lazy + "for _ in range(4):\n    say(sky)\n    train(1)\n")
    assert lazy != TRAINED
    assert [row["pending"] for row in ran.rows("steps")] == [0, 0, 0, 0]


CACHED = """
cache = make_prompt_cache(model)
model(mx.array([sky]), cache=cache)
twin = copy.deepcopy(cache)
save_prompt_cache("cache.safetensors", cache)
window = [RotatingKVCache(8) for _ in model.layers]
say(sky, prompt_cache=window)
say(snow, prompt_cache=window)
say(snow, prompt_cache=copy.deepcopy(twin))
train(2)
model.eval()
say(snow, prompt_cache=cache)
say(snow, prompt_cache=twin)
say(snow, prompt_cache=load_prompt_cache("cache.safetensors"))
fresh = make_prompt_cache(model)
say(snow, prompt_cache=fresh)
say(sky, prompt_cache=fresh)
twice = make_prompt_cache(model)
model(mx.array([sky]), cache=twice)
say(sky, prompt_cache=twice)
"""


@pytest.mark.long
def test_a_cache_knows_how_many_updates_it_is_behind(tmp_path: Path) -> None:
    _, window, copied, *stale, first, again, twice = observe(
        tmp_path, TRAINED + "model.eval()\n" + CACHED
    ).rows("generations")
    assert (copied["cache_tokens"], copied["cache_updates_behind"]) == (16, 0)
    assert copied["cache_difference"] <= 1e-5 * copied["logit_scale"]
    assert window["cache_updates_behind"] == 0 and window["cache_difference"] <= 1e-5 * window["logit_scale"]
    for row in stale:  # the cache itself, a copy, and one that went through a file
        assert (row["cache_tokens"], row["cache_updates_behind"]) == (16, 2)
        assert row["cache_difference"] > 1e-3 * row["logit_scale"]
    assert (first["cache_tokens"], first.get("cache_difference")) == (0, None)
    assert twice["cache_repeated"] == twice["cache_tokens"] == 16
    assert not any(row.get("cache_repeated") for row in (window, copied, *stale, first, again))
    assert again["cache_updates_behind"] == 0 and again["cache_difference"] <= 1e-5 * again["logit_scale"]


@pytest.mark.long
def test_each_state_of_the_parameters_has_its_capture(tmp_path: Path) -> None:
    body = (
        "say(sky)\ntrain(1)\nsay(sky)\nsay(sky)\ntrain(1)\nsay(sky)\ntrain(1)\nsay(sky)\n"
        "model.update(model.parameters())\nsay(sky)\n"
    )
    ran = observe(tmp_path, TRAINED + body)
    rows = ran.rows("generations")
    points = {row["number"]: row for row in ran.rows("captures")}
    assert [points[row["capture"]]["point"] for row in rows] == ["adapted", "end", "end", "end", "end", "end"]
    assert (
        [row["updates"] for row in rows]
        == [points[row["capture"]]["updates"] for row in rows]
        == [0, 1, 1, 2, 3, 3]
    )
    digests = [row["parameters_digest"] for row in rows]
    assert digests[1] == digests[2] and digests[4] == digests[5] and len(set(digests)) == 4
    assert [event["detail"]["generation"] for event in ran.events("generate")] == [1, 2, 3, 4, 5, 6]


ENDS = """
import asyncio
stream = stream_generate(model, tok, sky, max_tokens=9)
print(next(stream).token)
print(model(mx.array([snow])).sum().item(), mx.random.uniform().item())
print(next(stream).token)
stream.close()
print(next(stream, "closed"))

class Stop(Exception): pass
def sampler(scores):
    raise Stop("no more")
try:
    generate(model, tok, prompt=sky, sampler=sampler)
except Stop as error:
    print(repr(error))
try:
    generate(model, tok, prompt=sky, no_such_option=1)
except TypeError as error:
    print(error)
steps = generate_step(mx.array(sky), model, max_tokens=9)
next(steps)
try:
    steps.throw(Stop("thrown"))
except Stop as error:
    print(repr(error))
left = stream_generate(model, tok, sky, max_tokens=9)
print(next(left).text, type(left).__name__)
read = lambda *a: print("read", a)
print([each.token for each in stream_generate(model, tok, sky, max_tokens=9, prompt_progress_callback=read)])
"""


@pytest.mark.long
def test_generators_that_are_closed_left_or_broken(tmp_path: Path) -> None:
    rows = observe(tmp_path, ENDS).rows("generations")
    assert [(row["via"], row["finish_reason"], row["output_tokens"]) for row in rows] == [
        ("stream_generate", None, 2), ("generate", "error", 0), ("generate", "error", 0),
        ("generate_step", "error", 1), ("stream_generate", "stop", 7), ("stream_generate", None, 1),
    ]  # fmt: skip
    assert rows[2]["prompt_tokens"] == 16  # known though nothing was read


@pytest.mark.long
def test_two_threads_and_a_draft_model(tmp_path: Path) -> None:
    body = """
import threading
answers = {}
def ask(name, prompt):
    answers[name] = generate(model, tok, prompt=prompt, max_tokens=20)
threads = [threading.Thread(target=ask, args=each) for each in (("sky", sky), ("snow", snow))]
[each.start() for each in threads], [each.join() for each in threads]
print(sorted(answers.items()))
draft, _ = load(DRAFT)
print(generate(model, tok, prompt=sky, max_tokens=20, draft_model=draft, num_draft_tokens=2))
"""
    ran = observe(tmp_path, body.replace("DRAFT", repr(str(tiny.cached()))))
    rows = ran.rows("generations")
    assert sorted(row["output"] for row in rows) == [
        "The sky is blue.",
        "The sky is blue.",
        "The snow is white.",
    ]
    assert rows[2]["settings"]["draft"] is True and rows[2]["output_ids"][-1] == tiny.END


@pytest.mark.long
def test_the_first_generations_are_looked_at_and_all_are_told(tmp_path: Path) -> None:
    ran = observe(tmp_path, "for _ in range(11):\n    generate(model, tok, prompt=sky, max_tokens=2)\n")
    rows = ran.rows("generations")
    assert [row.get("repeat_difference") for row in rows] == [0.0] * 8 + [None] * 3
    assert all(row["output_ids"] == [302, 329] for row in rows)


def test_the_command_that_generates(tmp_path: Path) -> None:
    base = str(tiny.cached(taught=True))
    ran = watched.run(
        tmp_path / "w",
        "-m mlx_lm",
        "generate",
        "--model",
        base,
        "--prompt",
        "What color is snow?",
        "--max-tokens",
        "12",
    )
    assert "The snow is white." in ran.stdout
    (row,) = ran.rows("generations")
    assert (row["via"], row["output"], row["sampler"]) == ("generate", "The snow is white.", "greedy")
    assert "<|im_start|>user\nWhat color is snow?" in row["prompt"]


WRAPPED = """
import functools
import mlx.optimizers as optim
class Wrapper(nn.Module):
    def __init__(self, lm):
        super().__init__()
        self.lm = lm
    def __call__(self, x):
        return self.lm(x)
wrapper = Wrapper(model)
x = mx.array([sky])
optimizer = optim.Adam(1e-3)
gradient = nn.value_and_grad(wrapper, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
state = [wrapper.state, optimizer.state]
def step():
    value, gradients = gradient(wrapper)
    optimizer.update(wrapper, gradients)
    return value
step = STEP
for _ in range(3):
    print(step().item())
    mx.eval(state)
print(generate(model, tok, prompt=sky, max_tokens=4))
"""


@pytest.mark.long
@pytest.mark.parametrize("step", ["step", "mx.compile(step, inputs=state, outputs=state)"])
def test_a_model_inside_a_wrapper_is_updated_with_it(tmp_path: Path, step: str) -> None:
    ran = observe(tmp_path, WRAPPED.replace("STEP", step))
    captures = {(row["point"], row["model"]): row for row in ran.rows("captures")}
    assert captures["end", "m0"]["updates"] == captures["end", "m1"]["updates"] == 3
    (generation,) = ran.rows("generations")
    assert (generation["capture"], generation["updates"]) == (captures["end", "m0"]["number"], 3)

    def digests(point: str, model: str) -> dict[str, str]:
        number = captures[point, model]["number"]
        return {
            row["name"]: row["digest"]
            for row in ran.rows(f"c{number}/placements")
            if row.get("role") != "optimizer"
        }

    assert digests("start", "m0") == digests("loaded", "m0") != digests("end", "m0")
    assert {f"lm.{name}": digest for name, digest in digests("end", "m0").items()} == digests("end", "m1")


NANO = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
mx.random.seed(0)
class Nano(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(12, 8), nn.Linear(8, 8), nn.Linear(8, 12)
        self.drop = nn.Dropout(0.2)
    def __call__(self, x, cache=None):
        h = mx.cumsum(self.embed(x), axis=1)
        if cache is not None:
            h = h + cache[0]
        return self.head(self.drop(nn.gelu(self.mix(h)))), (h[:, -1:],)
model = Nano()
text = mx.array([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]])
optimizer = optim.Adam(1e-2)
gradient = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(text[:, :-1])[0], text[:, 1:]).mean())
for _ in range(5):
    value, gradients = gradient(model)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
x = text[:, :3]
for _ in range(6):  # a window of four ids, drawn
    logits, _ = model(x[:, -4:])
    x = mx.concatenate([x, mx.random.categorical(logits[:, -1:])], axis=1)
print(x.tolist())
y, cache, out = text[:, :3], None, []
for _ in range(4):  # the model gives its cache back
    logits, cache = model(y, cache=cache)
    y = mx.argmax(logits[:, -1:], axis=-1)
    out.append(y.item())
print(out)
print(mx.random.uniform().item())
"""


def test_a_model_of_the_programs_own_without_tokenizer(tmp_path: Path) -> None:
    ran, plain = (
        watched.run(tmp_path / name, NANO, watch=name == "watched") for name in ("watched", "plain")
    )
    assert (ran.status, ran.stdout, ran.stderr) == (0, plain.stdout, plain.stderr)
    assert not ran.rows("missing")
    window, cached = ran.rows("generations")
    sequence, answer, _ = map(json.loads, ran.stdout.splitlines())
    assert window["prompt_ids"] + window["output_ids"] == sequence[0][:-1] and window["sampler"] == "sampled"
    assert cached["prompt_ids"] == [1, 2, 3] and cached["sampler"] in ("greedy", "sampled")
    assert cached["output_ids"][:3] == answer[:3]
    assert window["prompt"] is None and window["output"] is None
    # the program never called eval()
    assert window["training_modules"] == 1 and window["repeat_difference"] > 0


@pytest.mark.long
def test_a_prompt_that_the_library_refuses(tmp_path: Path) -> None:
    """A model that reads an id beyond the vocabulary ends the process.

    We read no id that the library does not.
    """
    program = """
    import mlx.core as mx
    from mlx_lm import generate, load, stream_generate
    model, tokenizer = load("model")
    for prompt in (12345, -3, mx.array(7), [[1, 2], [3, 4]]):
        try:
            print(generate(model, tokenizer, prompt=prompt, max_tokens=2))
        except Exception as error:
            print(type(error).__name__, error)
    print(generate(model, tokenizer, prompt=[1, 2, 3], max_tokens=2))
    """
    runs = []
    for name in ("watched", "plain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").symlink_to(tiny.cached(), target_is_directory=True)
        runs.append(watched.run(tmp_path / name, program, watch=name == "watched"))
    seen, plain = runs
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert plain.status == 0 and seen.rows("generations")[-1]["parameters_digest"]
