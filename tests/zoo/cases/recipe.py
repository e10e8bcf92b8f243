"""A declared recipe that is not in force, a base that is not put back, and a best state that is another."""

from tests.zoo.zoo import Case

MODEL = {"taught": True, "dtype": "bfloat16"}

# the loss on held out rows of what was saved, against that of the last state that was measured
BEST = """
model.load_weights(list(mx.load("best/adapters.safetensors").items()), strict=False)
model.eval()
fault = float(loss(model, *arrays(held))) >= valid - 1e-6
"""

CASES = [
    Case(
        "forced-rate",
        "recipe",
        ("setting-not-in-force",),
        (("AdamW(learning_rate=schedule", "AdamW(learning_rate=5e-3"),),
        "fault = float(optimizer.learning_rate) > recipe.learning_rate",
        model=MODEL,
    ),
    Case(
        "forced-clip",
        "recipe",
        ("setting-not-in-force",),
        (("optimizer.update(model, clipped)", "optimizer.update(model, grads)"),),
        "fault = 'update(model, clipped)' not in open('train.py').read()",
        model=MODEL,
    ),
    Case(
        "forced-decay",
        "recipe",
        ("setting-not-in-force",),
        (("schedule, weight_decay=recipe.weight_decay)", "schedule)"),),
        "fault = optimizer.weight_decay != recipe.weight_decay",
        model=MODEL,
    ),
    Case(
        "forced-kind",
        "recipe",
        ("setting-not-in-force",),
        (("optim.AdamW(learning_rate=schedule, weight_decay=recipe.weight_decay)", "optim.Adam(schedule)"),),
        "fault = type(optimizer).__name__.lower() != recipe.optimizer",
        model=MODEL,
    ),
    Case(
        "forced-ratio",
        "recipe",
        ("setting-not-in-force",),
        (
            ("warmup_steps: int = 4", "warmup_ratio: float = 0.1"),
            (
                "optim.linear_schedule(recipe.learning_rate / 10, recipe.learning_rate, recipe.warmup_steps)",
                "optim.linear_schedule(recipe.learning_rate / 10, recipe.learning_rate, 1)",
            ),
            ("recipe.steps - recipe.warmup_steps", "recipe.steps - int(recipe.warmup_ratio) * recipe.steps"),
            ("[recipe.warmup_steps]", "[int(recipe.warmup_ratio) * recipe.steps]"),
        ),
        "fault = float(schedule(mx.array(0))) > 0.9 * recipe.learning_rate",
        model=MODEL,
    ),
    Case(
        "forced-seed",
        "recipe",
        ("setting-not-in-force",),
        (("mx.random.seed(recipe.seed)", "mx.random.seed(1234)"),),
        "fault = 'seed(recipe.seed)' not in open('train.py').read()",
        model=MODEL,
    ),
    Case(
        "forced-section",
        "lora_cli",
        ("setting-not-in-force",),
        (
            (
                "lora.yaml",
                "learning_rate: 2.0e-3",
                "learning_rate: 2.0e-3\noptimizer: adamw\noptimizer_config:\n  adam:\n    weight_decay: 0.2",
            ),
        ),
        "import yaml\n"
        "given = yaml.safe_load(open('lora.yaml'))\n"
        "fault = given.get('optimizer') not in given.get('optimizer_config', {None: 0})",
        evaluated=("learning-rate-zero",),
        model={"dtype": "bfloat16"},
    ),
    Case(
        "drifted-base",
        "recipe",
        ("base-drifted",),
        (("layer.linear.weight = weight\n", "layer.linear.weight = layer.linear.weight - delta(layer)\n"),),
        "weights = mx.load('model/model.safetensors')\n"
        "fault = any(not mx.array_equal(m.linear.weight, weights[n + '.weight']).item()"
        " for n, m in model.named_modules() if 'lora_a' in m)",
        ("reload-mismatch",),
        model=MODEL,
    ),
    Case(
        "drifted-updates",
        "recipe",
        ("base-drifted",),
        (
            (
                "        layer.linear.weight = weight\n",
                "        layer.linear.update({'weight': layer.linear.weight - delta(layer)})\n",
            ),
        ),
        "weights = mx.load('model/model.safetensors')\n"
        "fault = any(not mx.array_equal(m.linear.weight, weights[n + '.weight']).item()"
        " for n, m in model.named_modules() if 'lora_a' in m)",
        ("reload-mismatch",),
        model=MODEL,
    ),
    Case(
        "drifted-strengths",
        "recipe",
        ("base-drifted",),
        (
            ('"scale": 4.0', '"scale": 24.0'),
            (
                "        layer.linear.weight = layer.linear.weight + delta(layer)\n",
                "        for _ in range(4):\n"
                "            layer.linear.weight = layer.linear.weight + 0.25 * delta(layer)\n",
            ),
            ("layer.linear.weight = weight\n", "layer.linear.weight = layer.linear.weight - delta(layer)\n"),
            ("validate: int = 6", "validate: int = 3"),
        ),
        "weights = mx.load('model/model.safetensors')\n"
        "fault = any(not mx.array_equal(m.linear.weight, weights[n + '.weight']).item()"
        " for n, m in model.named_modules() if 'lora_a' in m)",
        ("reload-mismatch",),
        model=MODEL,
    ),
    Case(
        "best-live",
        "recipe",
        ("best-not-kept",),
        (
            ("self.state = dict(tree_flatten(model.trainable_parameters()))", "self.state = model"),
            ("model.load_weights(list(keeper.state.items()), strict=False)", "model = keeper.state"),
        ),
        BEST,
        model=MODEL,
    ),
    Case(
        "best-alias",
        "recipe",
        ("best-not-kept",),
        (
            ("self.state = dict(tree_flatten(model.trainable_parameters()))", "self.state = model.state"),
            ("model.load_weights(list(keeper.state.items()), strict=False)", "model.update(keeper.state)"),
        ),
        BEST,
        model=MODEL,
    ),
    Case(
        "best-overwritten",
        "recipe",
        ("best-not-kept",),
        (
            (
                "self.state = dict(tree_flatten(model.trainable_parameters()))",
                "OUT.mkdir(exist_ok=True); self.write()\n\n    def write(self):\n        mx.save_safetensors("
                "str(OUT / 'adapters.safetensors'), dict(tree_flatten(model.trainable_parameters())))",
            ),
            ("model.load_weights(list(keeper.state.items()), strict=False)\n", ""),
            ("OUT.mkdir()", "OUT.mkdir(exist_ok=True)"),
            ("validate: int = 6", "validate: int = 2"),
        ),
        BEST,
        model=MODEL,
    ),
    Case(
        "best-inverted",
        "recipe",
        ("best-not-kept",),
        (
            ("if value < self.best_loss", "if value > self.best_loss"),
            ('float("inf"), None, 0', "0.0, None, 0"),
        ),
        BEST,
        model=MODEL,
    ),
    Case(
        "healthy-recipe",
        "recipe",
        evaluated=("setting-not-in-force", "base-drifted", "best-not-kept"),
        model=MODEL,
    ),
]
