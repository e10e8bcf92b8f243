"""Cures: each file takes away one cause by our hooks, without editing the program.

A file is named as the finding's id, with underscores. A cure's docstring says what it changes. Its
`install(run)` puts it where it acts: `logits.cure` for what the loss teaches, `training.cure` for the model
just before the first gradient, or `run.patch` as any hook. `told.fact` has what the recorded run declared. In
a program without the fault a cure changes nothing.
"""
