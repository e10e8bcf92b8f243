"""mlx-lm's own command, with the settings of lora.yaml."""

import sys

from mlx_lm.lora import main

sys.argv[1:] = ["--config", "lora.yaml"]
main()
