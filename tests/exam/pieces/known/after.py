"""After training: evaluation, saves, reloads, fuses and generations."""

from tests.exam.grammar import piece

CONFIG = """
x_folder = Path(S.out)
x_folder.mkdir(exist_ok=True)
"""
ASK = 'x_prompt = x_tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False)\n'

PIECES = [
    piece("evaluation/none", weight=2),
    piece(
        "evaluation/held-out-loss",
        """
        x_total = 0.0
        for x_count, x_batch in enumerate(x_batches(x_held, x_tok), 1):
            x_total += x_loss_fn(x_model, *x_batch).item()
        print(f"held-out loss {x_total / x_count:.3f}")
        """,
        bars=("own", "anchored"),
        gives="evaluated",
        weight=2,
    ),
    piece("save/none", weight=0.4, gives="unsaved"),
    piece(
        "save/adapter-folder",
        CONFIG
        + """
        x_record = {"fine_tune_type": "lora", "num_layers": S.layers, "lora_parameters": {"rank": S.rank, "scale": S.scale, "dropout": S.dropout}}
        (x_folder / "adapter_config.json").write_text(json.dumps(x_record, indent=4))
        mx.save_safetensors(str(x_folder / "adapters.safetensors"), dict(tree_flatten(x_model.trainable_parameters())))
        #: saved(x_folder / "adapters.safetensors")
        """.replace("\n        ", "\n"),
        needs="adapter-config",
        bars=("lora-keys",),
        gives=("adapter-folder",),
        weight=3,
    ),
    piece(
        "save/adapter-folder-with-keys",
        CONFIG
        + """
        x_sites = sorted({".".join(x_name.split(".")[-3:-1]) for x_name, _ in tree_flatten(x_model.trainable_parameters())})
        x_record = {"fine_tune_type": "lora", "num_layers": S.layers}
        x_record["lora_parameters"] = {"rank": S.rank, "scale": S.scale, "dropout": S.dropout, "keys": x_sites}
        (x_folder / "adapter_config.json").write_text(json.dumps(x_record))
        mx.save_safetensors(str(x_folder / "adapters.safetensors"), dict(tree_flatten(x_model.trainable_parameters())))
        #: saved(x_folder / "adapters.safetensors")
        """.replace("\n        ", "\n"),
        needs=("adapter-config", "lora-keys"),
        bars=("dora",),
        gives=("adapter-folder",),
        weight=3,
    ),
    piece(
        "save/trainable-only",
        """
        x_weights = {x_name: x_array for x_name, x_array in tree_flatten(x_model.trainable_parameters())}
        mx.save_safetensors("trained.safetensors", x_weights)
        #: saved("trained.safetensors")
        print("saved", len(x_weights), "tensors")
        """,
        gives=("trainable-file",),
    ),
    piece(
        "save/whole-weights",
        """
        Path("out").mkdir(exist_ok=True)
        x_model.save_weights("out/model.safetensors")
        #: saved("out/model.safetensors")
        for x_name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(f"base/{x_name}", f"out/{x_name}")
        """,
        bars=("lora",),
        gives=("whole-folder",),
        weight=3,
    ),
    piece(
        "save/arrays-and-optimizer",
        """
        x_store = Path("state")
        x_store.mkdir(exist_ok=True)
        mx.save_safetensors(str(x_store / "adapters.safetensors"), dict(tree_flatten(x_model.trainable_parameters())))
        mx.save_safetensors(str(x_store / "optimizer.safetensors"), {x_n: x_v for x_n, x_v in tree_flatten(x_opt.state) if isinstance(x_v, mx.array)})
        #: saved(x_store / "adapters.safetensors")
        """,
        needs="lora",
        bars=("own",),
        gives=("state-folder",),
        weight=1.5,
    ),
    piece("reload/none", weight=2),
    piece(
        "reload/adapter-path",
        """
        x_again, _ = load("base", adapter_path=S.out)
        #: reloaded(x_again)
        """,
        needs="adapter-folder",
        gives=("reloaded",),
        weight=2,
    ),
    piece(
        "reload/whole",
        """
        x_again, _ = load("out")
        #: reloaded(x_again)
        """,
        needs="whole-folder",
        gives=("reloaded",),
    ),
    piece("fuse/none", weight=3),
    piece(
        "fuse/modules",
        """
        x_fused = [(x_name, x_module.fuse()) for x_name, x_module in x_model.named_modules() if hasattr(x_module, "fuse")]
        x_model.update_modules(tree_unflatten(x_fused))
        #: fused(x_model)
        x_model.save_weights("fused.safetensors")
        """,
        needs="lora",
        bars=("qwen2-4bit", "mixtral", "llama-bfloat16"),
        gives=("fused",),
    ),
    piece("generation/none", weight=0.7),
    piece(
        "generation/generate",
        ASK + "x_answer = generate(x_model, x_tok, prompt=x_prompt, max_tokens=S.max_tokens)\n"
        "#: answered(x_model, x_tok, x_prompt, x_answer)\nprint(x_answer)\n",
        gives=("asked", "generate-call"),
        bars=("alpaca",),
        weight=3,
    ),
    piece(
        "generation/stream",
        ASK
        + "x_text = ''\n"
        + "for x_piece in stream_generate(x_model, x_tok, x_prompt, max_tokens=S.max_tokens, sampler=make_sampler(temp=S.temperature)):\n"
        + "    x_text += x_piece.text\n#: answered(x_model, x_tok, x_prompt, x_text)\nprint('answer:', x_text)\n",
        gives=("asked",),
        bars=("alpaca",),
        weight=2,
    ),
    piece(
        "generation/by-hand",
        ASK
        + """
x_cache = make_prompt_cache(x_model)
x_token = mx.argmax(x_model(mx.array([x_prompt]), cache=x_cache)[:, -1], axis=-1)
x_out = []
while len(x_out) < S.max_tokens:
    x_id = x_token.item()
    if x_id == x_tok.eos_token_id:
        break
    x_out.append(x_id)
    x_token = mx.argmax(x_model(x_token[None], cache=x_cache)[:, -1], axis=-1)
#: answered(x_model, x_tok, x_prompt, x_out)
print(x_tok.decode(x_out))
""",
        gives=("asked", "greedy-loop"),
        bars=("alpaca",),
        weight=1.5,
    ),
]
