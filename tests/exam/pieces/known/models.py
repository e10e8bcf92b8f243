"""How the model comes, and what of it is trained: the styles that detectors may be developed on."""

from tests.exam.grammar import piece

CONFIG = '{"fine_tune_type": "lora", "num_layers": S.layers, "lora_parameters": {"rank": S.rank, "scale": S.scale, "dropout": S.dropout}}'

PIECES = [
    piece(
        "model/load", "mx.random.seed(S.seed)\nx_model, x_tok = load('base')\n#: loaded(x_model)\n", weight=3
    ),
    piece(
        "model/load-with-tokenizer-config",
        """
        mx.random.seed(S.seed)
        x_model, x_tok = load("base", tokenizer_config={"trust_remote_code": True})
        #: loaded(x_model)
        print(f"loaded {sum(v.size for _, v in tree_flatten(x_model.parameters())):,} parameters")
        """,
    ),
    piece(
        "model/by-hand",
        """
        x_config = json.loads(Path("base/config.json").read_text())
        x_class, x_arguments = _get_classes(x_config)
        x_model = x_class(x_arguments.from_dict(x_config))
        x_model.load_weights("base/model.safetensors")
        mx.eval(x_model.parameters())
        x_model.eval()
        x_tok = load_tokenizer(Path("base"))
        mx.random.seed(S.seed)
        #: loaded(x_model)
        """,
        bars=("qwen2-4bit",),
    ),
    piece(
        "trained/lora",
        """
        x_model.freeze()
        linear_to_lora_layers(x_model, S.layers, {"rank": S.rank, "scale": S.scale, "dropout": S.dropout})
        #: adapted(x_model)
        """,
        gives=("lora", "lora-call", "adapter-config"),
        weight=3,
    ),
    piece(
        "trained/lora-attention",
        """
        x_model.freeze()
        x_lora = {"rank": S.rank, "scale": S.scale, "dropout": S.dropout, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}
        linear_to_lora_layers(x_model, S.layers, x_lora)
        print("trainable:", sum(v.size for _, v in tree_flatten(x_model.trainable_parameters())))
        #: adapted(x_model)
        """,
        gives=("lora", "lora-call", "lora-keys", "adapter-config"),
        weight=2,
    ),
    piece(
        "trained/lora-dropout",
        """
        x_model.freeze()
        linear_to_lora_layers(x_model, S.layers, {"rank": S.rank, "scale": S.scale, "dropout": S.dropout})
        #: adapted(x_model)
        """,
        gives=("lora", "lora-call", "dropout", "adapter-config"),
        settings={"dropout": 0.1},
        weight=2,
    ),
    piece(
        "trained/dora",
        """
        x_model.freeze()
        linear_to_lora_layers(
            x_model,
            S.layers,
            {"rank": S.rank, "scale": S.scale, "dropout": S.dropout, "keys": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]},
            use_dora=True,
        )
        #: adapted(x_model)
        """,
        gives=("lora", "dora", "lora-call", "lora-keys", "adapter-config"),
        weight=1.2,
        bars=("qwen2-4bit",),
    ),
    piece(
        "trained/lora-by-hand",
        """
        x_model.freeze()
        for x_layer in x_model.layers:
            x_attn = x_layer.self_attn
            x_attn.q_proj = LoRALinear.from_base(x_attn.q_proj, r=S.rank, scale=S.scale, dropout=S.dropout)
            x_attn.v_proj = LoRALinear.from_base(x_attn.v_proj, r=S.rank, scale=S.scale, dropout=S.dropout)
        #: adapted(x_model)
        """,
        gives=("lora", "lora-walk", "lora-keys", "adapter-config"),
    ),
    piece(
        "trained/full",
        "#: adapted(x_model)\n",
        gives=("full",),
        bars=("qwen2-4bit", "llama-bfloat16"),
        settings={"lr": 1e-3},
        weight=1.5,
    ),
    piece(
        "trained/last-block",
        """
        x_model.freeze()
        x_model.layers[-1].unfreeze()
        #: adapted(x_model)
        """,
        gives=("partial",),
        weight=1.2,
        bars=("qwen2-4bit", "llama-bfloat16"),
    ),
    piece(
        "trained/norms",
        """
        x_model.freeze()
        x_model.apply_to_modules(lambda _, m: m.unfreeze() if isinstance(m, nn.RMSNorm) else None)
        #: adapted(x_model)
        """,
        gives=("partial",),
        bars=("gemma2", "llama-bfloat16"),
        settings={"lr": 2e-2},
        weight=1.2,
    ),
]
