"""Cures: one file a finding, named as its id with underscores, each taking away one cause by our hooks, not
by editing.

A cure's docstring says what it changes. Its `install(run)` puts it where it acts: `logits.cure` for what the
loss teaches, `training.cure` for the model just before the first gradient, or `run.patch` as any hook.
`told.fact` has what the recorded run declared. In a program without the fault a cure changes nothing.
"""
