-- What is recorded, table by table. This page is the contract between the watcher, the store and the queries:
-- rows are written as JSON lines with these names, typed by this page, and read back as DuckDB tables.
--
-- version 1   2026-11   first version
--
-- Conventions. A column whose comment begins with "private:" is text or token ids of the user; it is NULL in
-- a redacted bundle, and no detector reads it. JSON columns hold one JSON value as text. NULL means "not
-- measured", never 0. A `capture` is the ref as text (night@end, night@end:m1); `model` is m0, m1, ... in
-- order of first sight over all processes.

-- One watched command, or a name given to captures at rest.
CREATE TABLE runs (
    run VARCHAR,            -- name
    created_at VARCHAR,     -- ISO 8601, UTC
    kind VARCHAR,           -- watched | rest
    command VARCHAR,        -- private: JSON list, the command line
    exit_status INTEGER,    -- of the command; negative: killed by that signal; NULL: not watched
    seconds DOUBLE,         -- wall time of the command
    complete BOOLEAN,       -- nothing that should have been recorded is missing
    missing VARCHAR,        -- JSON list of {"what", "why", "kind"}; kind run: its own tables, capture: one
                            -- that is gone, rows, save: cut short
    expect VARCHAR,         -- lora | dora | full | none | NULL: what the user said by --expect
    main_model VARCHAR,     -- the model that RUN@POINT means
    tensors VARCHAR,        -- all | new | trainable | none: what was kept
    captures VARCHAR,       -- JSON list of what stood after the @ in its captures' directories when it was
                            -- sealed; NULL: sealed before this was kept
    lines VARCHAR,          -- private: JSON object, place to the text of its line, of files that did not
                            -- change since the run began
    steps BIGINT,           -- updates of the main model that were recorded; NULL: sealed before this was
                            -- kept, or not watched
    last_loss DOUBLE,       -- the loss of the last of them that has one
    launch VARCHAR          -- private: JSON {"argv", "executable", "cwd"} of the process that trained, or
                            -- used, the main model; NULL: sealed before this was kept
);

-- Every live model object of a run. Of a process that was killed, counts are at least so many, and NULL where
-- none was seen.
CREATE TABLE models (
    run VARCHAR,
    model VARCHAR,
    process INTEGER,        -- 0, 1, ... in order of first sight
    class VARCHAR,          -- class name of the root module; NULL: a bare tree of arrays
    path VARCHAR,           -- private: the directory it was loaded from; NULL: built in memory
    updates BIGINT,         -- optimizer updates that this object received
    writes BIGINT,          -- other writes into its parameters (Module.update, load_weights) after the first
                            -- gradient
    unwritten BIGINT,       -- results of Optimizer.apply_gradients that the program has not put into it
    gradients BIGINT,       -- gradient evaluations with respect to it
    generations BIGINT,     -- observed generations that used it
    saves BIGINT,           -- saved files whose arrays are its own
    parameters BIGINT,      -- number of parameter tensors when last seen
    copied_from VARCHAR,    -- the model that this object was a deep copy of, where parameters were equal on
                            -- first sight
    rank INTEGER,           -- of a distributed program (mx.distributed): the rank of its process; NULL: a
                            -- program that runs alone
    ranks INTEGER           -- how many ranks there were
);

-- One record of one model at one point.
CREATE TABLE captures (
    capture VARCHAR,
    run VARCHAR,
    point VARCHAR,          -- loaded | adapted | start | step-N | end | saved | reloaded | generate-N | rest
    ordinal INTEGER,        -- 1; 2 where the point happened again, and so on
    sequence INTEGER,       -- order in the run, over all models and processes
    process INTEGER,
    model VARCHAR,
    created_at VARCHAR,
    source VARCHAR,         -- live | file | reload
    format VARCHAR,         -- for files: mlx | adapter-mlx | adapter-peft | safetensors | gguf; NULL for live
    path VARCHAR,           -- private: the file or directory
    updates BIGINT,         -- updates applied to this object so far
    whole BOOLEAN,          -- tensors, modules and probes were taken (false: digests alone)
    probes_of VARCHAR,      -- the capture whose probes these are, where parameters and settings were equal
    probes VARCHAR,         -- JSON: how they were asked: seconds, together (answered in one batch), apart
                            -- (share of the logits' range by which its first step differs from single ones),
                            -- read (tokens taken from a reading of an earlier answer), shortened, skipped
                            -- (prompts that there was no time for), remembered (an earlier run of this store
                            -- was asked, or this model before it got adapters that add nothing, and is
                            -- believed where the logits after the prompt are the same to the bit)
    pending VARCHAR,        -- JSON, where parameters were not computed yet when the point came: operations of
                            -- their graph (the watcher's own norms among them), difference (by how much
                            -- computing them changed the logits after a probe, max abs; absent: not asked),
                            -- scale (the largest of them)
    place VARCHAR,          -- file:line of the user's program
    complete BOOLEAN,
    missing VARCHAR         -- JSON list of {"what", "why", "kind"}
);

-- The module tree.
CREATE TABLE modules (
    capture VARCHAR,
    module VARCHAR,         -- dotted path; '' is the root
    canonical VARCHAR,      -- path without adapter wrappers
    class VARCHAR,
    kind VARCHAR,           -- linear | embedding | norm | adapter | dora | switch | quantized | container |
                            -- other: by structure, not by name
    layer INTEGER,          -- index of the block, NULL outside the blocks
    training BOOLEAN,       -- the module's own flag
    rank INTEGER,           -- of an adapter, from its shapes
    scale DOUBLE,           -- of an adapter: the multiplier in force
    dropout DOUBLE,         -- dropout probability in force (0.0: none), of adapters and dropout layers
    adapters INTEGER,       -- adapters wrapped around this layer: 0, 1, 2 (nested)
    attributes VARCHAR      -- JSON: plain attributes (numbers, booleans, short names)
);

-- Which tensor stands where. `parameters` is this, joined with `tensors`.
CREATE TABLE placements (
    capture VARCHAR,
    name VARCHAR,           -- as the program has it, or as the file names it
    canonical VARCHAR,      -- name without adapter wrappers; a tied parameter and its twin share one
    module VARCHAR,
    leaf VARCHAR,           -- last part of the name
    role VARCHAR,           -- base | lora_a | lora_b | dora_m | scales | biases | embedding | head | norm |
                            -- bias | optimizer
    layer INTEGER,
    digest VARCHAR,         -- NULL: could not be read
    trainable BOOLEAN,      -- in the model's trainable set; NULL for files and optimizer state
    evaluated BOOLEAN,      -- was already computed when the point came; NULL: not looked at
    shared_with VARCHAR,    -- name of the twin that is the same array object or a tied weight
    value_digest VARCHAR,   -- of a quantized weight: mode:bits:group_size and the digests of its parts; of a
                            -- tensor in another layout: its digest in mlx-lm's
    layout VARCHAR,         -- of files: how values lie compared with mlx-lm's: transposed (PEFT) | heads:N (q
                            -- and k of llama GGUF); NULL: as there
    error VARCHAR,          -- why it could not be read
    packing VARCHAR         -- of a quantized weight: mode:bits:group_size; NULL: not packed, or nothing says
                            -- how
);

-- Statistics, once a digest.
CREATE TABLE tensors (
    digest VARCHAR,
    dtype VARCHAR,          -- as safetensors writes it: F32, F16, BF16, U32, ...; a GGUF type name for block
                            -- types
    shape VARCHAR,          -- JSON list
    size BIGINT,
    nbytes BIGINT,
    mean DOUBLE, std DOUBLE, min DOUBLE, max DOUBLE, l2 DOUBLE,   -- over finite elements
    zeros BIGINT, nans BIGINT, infs BIGINT,
    kept VARCHAR            -- pack | file | none: where its bytes are
);

-- Differences, once a pair of digests.
CREATE TABLE deltas (
    digest_a VARCHAR, digest_b VARCHAR,
    max_abs DOUBLE, l2 DOUBLE, relative DOUBLE, cosine DOUBLE, changed_fraction DOUBLE
);

-- Optimizer state at a capture: its class, settings and what it holds.
CREATE TABLE optimizers (
    capture VARCHAR,
    optimizer VARCHAR,      -- o0, o1, ... in order of first sight
    class VARCHAR,
    step BIGINT,            -- its own step counter
    learning_rate DOUBLE,
    scheduled BOOLEAN,      -- the rate follows a schedule
    settings VARCHAR,       -- JSON: betas, eps, weight_decay, bias_correction, momentum ...
    state_tensors INTEGER,  -- number of state tensors
    state_l2 DOUBLE,        -- norm of all state tensors; 0: empty or fresh
    state_evaluated BOOLEAN
);

-- What adapter was meant, and what adapter is there.
CREATE TABLE adapters (
    run VARCHAR,
    capture VARCHAR,        -- the capture whose adapter it is; NULL for declarations of the program
    origin VARCHAR,         -- declared | observed
    via VARCHAR,            -- argument | call | config-file | import | saved-config | expect | modules | file
    kind VARCHAR,           -- lora | dora | full | other
    rank INTEGER,
    scale DOUBLE,
    alpha DOUBLE,
    dropout DOUBLE,
    num_layers INTEGER,
    keys VARCHAR,           -- JSON list of module keys as declared, or of adapted canonical paths inside a
                            -- block
    modules INTEGER,        -- observed: adapted modules
    strength VARCHAR,       -- strong: settings passed, read or written; weak: an import alone
    place VARCHAR,
    layers VARCHAR          -- JSON list of the blocks that the declaration names; NULL: none by number
);

-- Flat key and value pairs of every configuration.
CREATE TABLE configs (
    capture VARCHAR,        -- or the run's name, for settings of the program
    kind VARCHAR,           -- model | adapter | tokenizer | generation | template | training | program
    key VARCHAR,            -- dotted
    value VARCHAR           -- JSON
);

-- What the program did, in order: loads, conversions, gradients, updates, saves, generations, errors.
CREATE TABLE events (
    run VARCHAR,
    sequence BIGINT,        -- order over all processes
    time DOUBLE,            -- seconds since the run began
    process INTEGER,
    kind VARCHAR,           -- load | freeze | unfreeze | convert | train | grad | loss | encode | range |
                            -- optimizer | update | write | compile | save | fuse | generate |
                            -- evaluate | input | measure | seed | error | exit
    model VARCHAR,
    detail VARCHAR,         -- JSON; keys by kind in docs/spool.md
    place VARCHAR
);

-- One row an update of a model by an optimizer: loss, rate, norms, and what carried the loss, by role.
CREATE TABLE steps (
    run VARCHAR, process INTEGER, model VARCHAR,
    step BIGINT,            -- 1 is the first update of this model
    optimizer VARCHAR,
    loss DOUBLE,
    learning_rate DOUBLE,
    tokens BIGINT,          -- target tokens with weight
    gradients INTEGER,      -- gradient evaluations since the update before
    functions INTEGER,      -- distinct gradient functions that gave them; NULL: not known
    gradient_norm DOUBLE,   -- of what the optimizer received
    update_norm DOUBLE,     -- of parameters after - before
    parameter_norm DOUBLE,  -- of the updated parameters, before
    nonfinite INTEGER,      -- gradient tensors with NaN or infinity
    accumulation DOUBLE,    -- <g, S>/<S, S> for g the gradient applied and S the sum of those evaluated: 1/k
                            -- averaged, 1 summed; NULL where k is 1
    weight_sum DOUBLE,      -- signed sum of weights over all positions and forwards
    forwards INTEGER,       -- forwards of the model under this step's gradients
    weight_prompt DOUBLE, weight_answer DOUBLE, weight_end DOUBLE, weight_pad DOUBLE,  -- shares of |weight|
    mass_pad DOUBLE,        -- share of |dL/dlogits| on padding
    residual DOUBLE,        -- share of the mass that is no cross-entropy's; above 0.05: none
    read DOUBLE,            -- share of the positions with weight that were read: below 1 in a step that is
                            -- not kept, where the loss makes no logits
    equal_forwards INTEGER, -- forwards under this step's gradients whose input and logits equal, to the bit,
                            -- those of an earlier forward, under the gradient or outside
    equal_outside INTEGER,  -- those of them that equal one outside alone
    silent_forwards INTEGER, -- forwards under this step's gradients that no gradient came back to, on rows
                             -- that no other forward of the step was taught
    outside_forwards INTEGER, -- forwards over whole rows outside of gradients since the step before, at most
                              -- 8 a gradient: of a reference, or to measure
    passed DOUBLE,          -- norm of what the optimizer received over that of the one gradient evaluated, in
                            -- a few small parameters; 1: as it came
    along DOUBLE,           -- cosine of the two in these parameters; -1: the sign was turned on the way
    carried DOUBLE,         -- how much of the gradients of earlier updates is in the one applied, before any
                            -- clipping; 0: none, 1: all that was gathered before
    of_last DOUBLE,         -- of a step with several gradients: how much of the last is in the one applied
    of_earlier DOUBLE,      -- how much of the sum of those before it: both are 1/k where a mean is applied, and
                            -- clipping scales both; NULL: they do not explain what was applied
    weight_spread DOUBLE,   -- how much weights differ between positions, deviation over mean by mass; NULL:
                            -- the step was not kept
    softmax_spread DOUBLE,  -- the same, where they are read as those of a cross-entropy of the softmax of the
                            -- outputs
    probabilities BOOLEAN,  -- the outputs under this step's gradients are probabilities: none is negative,
                            -- and each position sums to 1
    drawn_rows INTEGER,     -- rows under this step's gradients that the program drew itself: generated, or
                            -- read token by token just before
    coefficient DOUBLE,     -- of a kept step on such rows: the largest magnitude of the small float arrays
                            -- that its loss was handed and that have both signs, or are all zero
    group_rows INTEGER,     -- of a kept step whose loss is handed advantages, numbers of rows that sum to 0 in
                            -- groups side by side: rows of a group; NULL: none, or no prompt has as many rows
    groups INTEGER,         -- how many groups
    mixed_groups INTEGER,   -- those of them that hold rows of several prompts
    residual_shaped DOUBLE, -- of a loss on hidden states: what the reading by the model's head leaves
                            -- unexplained; NULL: another loss, nothing else could be taken for that head, or
                            -- the step was not kept
    residual_bare DOUBLE,   -- the same of the reading by `other_head`
    loss_shaped DOUBLE,     -- cross-entropy of the model's own logits at the rows, targets and weights read
    loss_bare DOUBLE,       -- the same of the logits of `other_head`
    loss_taught DOUBLE,     -- the loss that the gradient at the logits is of, where `residual` is small: the
                            -- cross-entropy of these logits at the targets and weights read, mean over the
                            -- step's gradients; NULL: not every position was read, or the step was not kept
    handed VARCHAR,         -- JSON: numbers among the arguments of the loss that it is not differentiated by,
                            -- each the mean over the step's gradients; NULL: none, or the step is compiled
    divergences VARCHAR,    -- JSON: of the logits that the loss was handed, or that another model made under the
                            -- gradient: KL(other, model) and KL(model, other), by weight; NULL: none
    replaced VARCHAR,       -- what the update before this one left does not stand there any more, without an
                            -- update: held (the program has it still), dropped; NULL: it stands there
    pending BIGINT,         -- updates before this one that nothing had computed when it came; 0: all were;
                            -- NULL: the step was not kept
    mask_left BIGINT,       -- of a step whose loss is not finite: positions that the mask leaves that the
                            -- loss was handed, zeros and ones or labels with -100; NULL: none was seen
    other_head VARCHAR,     -- bare: the model's head without the scale or cap that it puts on its logits;
                            -- table: the embedding of a model that has a head of its own
    seconds DOUBLE
);

-- By parameter, for the steps of which loss_tokens are kept.
CREATE TABLE gradients (
    run VARCHAR, process INTEGER, model VARCHAR, step BIGINT,
    name VARCHAR,           -- parameter name
    gradient_norm DOUBLE, update_norm DOUBLE, parameter_norm DOUBLE,
    nonfinite BOOLEAN
);

-- What the loss teaches at each position of a training row, read off the gradient at the logits, or at the
-- hidden states where none are made.
CREATE TABLE loss_tokens (
    run VARCHAR, process INTEGER, model VARCHAR, step BIGINT,
    forward INTEGER,        -- 0, 1, ... within the step
    row INTEGER, position INTEGER,
    input_id BIGINT,        -- private: token at this position
    target_id BIGINT,       -- private: read off the gradient; NULL where weight is 0
    token VARCHAR,          -- private: target as text
    next_token VARCHAR,     -- private: the row's next token as text, whatever its weight; NULL at the row's
                            -- end
    weight DOUBLE, mass DOUBLE,
    residual DOUBLE,        -- infinite: the logits are not finite
    role VARCHAR,           -- prompt | answer | end | pad: of the row's next token
    relation VARCHAR,       -- next | same | next-but-one | other: target against the row's input; NULL where
                            -- weight is 0
    ignore_index BOOLEAN,   -- the target is the label -100 or -1, which wraps to the 100th last or the last
                            -- row of the embedding; NULL where weight is 0
    elsewhere BOOLEAN,      -- of a target whose relation is other: it and its neighbours are the next tokens
                            -- of another row; NULL of others
    label INTEGER,          -- which label that is; NULL of others
    renumbered BOOLEAN      -- of a target whose relation is other: in its forward each next token has one
                            -- number of its own as target, and it is not its id; NULL of others
);

-- Training rows, as the model's forward saw them, for the steps of which loss_tokens are kept.
CREATE TABLE batch_rows (
    run VARCHAR, process INTEGER, model VARCHAR, step BIGINT, forward INTEGER, row INTEGER,
    width INTEGER,          -- length of the row in the batch
    tokens INTEGER,         -- without padding
    prompt_tokens INTEGER, answer_tokens INTEGER, end_tokens INTEGER, pad_tokens INTEGER,
    first_pad INTEGER,      -- position of the first pad of the tail; NULL: none
    ends_with_end BOOLEAN,  -- an end token stands before the padding, be it followed by what the template
                            -- writes after it; NULL: no token is known to end an answer
    at_cap BOOLEAN,         -- no padding, and the row is as long as the longest seen or the declared cap
    bos_count INTEGER,      -- BOS ids at the head of the row
    framed BOOLEAN,         -- begins with the head of the model's chat template, and holds its answer marker;
                            -- NULL: no template
    frame VARCHAR,          -- template | partial | none: how the row stands to the chat template
    head_digest VARCHAR,    -- keyed equality of what all rows of the run share at their head
    row_digest VARCHAR,     -- keyed equality of the whole row
    prompt_digest VARCHAR,  -- keyed equality of its prompt part
    openings INTEGER,       -- how many times the block of tokens that opens the row stands there, back to back
    out_of_range INTEGER,   -- ids at or above the embedding's rows, or negative
    opening_tokens INTEGER, -- first tokens of the answer that carry no weight; NULL: no answer carries any
    opening_digest VARCHAR  -- keyed equality of these tokens; NULL: there are none
);

-- Files that the program wrote with tensors in them.
CREATE TABLE saved_tensors (
    run VARCHAR, process INTEGER,
    save INTEGER,           -- 0, 1, ... in order
    path VARCHAR,           -- private
    file VARCHAR,           -- last part of the path
    model VARCHAR,          -- whose arrays they are, by object or digest; NULL: of none
    updates BIGINT,         -- updates of that model at the time
    name VARCHAR,           -- tensor name as written; NULL: the save held none
    canonical VARCHAR,
    digest VARCHAR,         -- of what was handed over
    digest_on_disk VARCHAR, -- of what lies there after the run; NULL: gone or unreadable
    place VARCHAR,
    overwritten BOOLEAN     -- a later save wrote the same file, so that what lies there is not this save's
);

-- Compiled functions of the program.
CREATE TABLE compiled (
    run VARCHAR, process INTEGER,
    function INTEGER,       -- 0, 1, ... in order
    name VARCHAR,           -- private: its qualified name
    purpose VARCHAR,        -- step (an update inside) | gradient | forward (a model inside) | sampler | other
    model VARCHAR,
    calls BIGINT, traces BIGINT,
    state_in_inputs BOOLEAN, state_in_outputs BOOLEAN,
    random_used BOOLEAN, random_captured BOOLEAN,
    training_at_trace BOOLEAN,
    updates_behind BIGINT,      -- of a forward that was traced with parameters as constants: updates of the
                                -- model between the trace and a call, at most; NULL: all it reads are inputs
    number_traced DOUBLE,       -- a number that the function's code names, as it was when it was traced, where
                                -- the program changed it later
    number_later DOUBLE,        -- the same, as it was at the last call that was looked at
    number_calls BIGINT,        -- calls that computed with another than the program had
    repeat_difference DOUBLE,   -- of two equal observed calls, max abs; NULL: none seen
    live_difference DOUBLE,     -- of its output and the uncompiled model on the same arguments and shape, max
                                -- abs
    live_scale DOUBLE,          -- max abs of the uncompiled output
    place VARCHAR
);

-- Observed generations.
CREATE TABLE generations (
    run VARCHAR, process INTEGER,
    generation INTEGER,     -- 1, 2, ...
    capture VARCHAR,        -- capture of the model as it was then
    model VARCHAR,
    updates BIGINT,         -- updates of that object at the time
    via VARCHAR,            -- generate | stream_generate | generate_step | batch | loop
    prompt_tokens INTEGER, output_tokens INTEGER,
    finish_reason VARCHAR,  -- stop | length | error
    parameters_digest VARCHAR,  -- over names and digests of all parameters that can move
    training_modules INTEGER,   -- modules with training flag set that hold an active dropout
    repeat_difference DOUBLE,   -- two equal forwards with the flags as they were, max abs of logits
    eval_difference DOUBLE,     -- the same forward in eval mode against that
    eval_repeat_difference DOUBLE,  -- two equal forwards in eval mode; NULL: not asked
    logit_scale DOUBLE,
    cache_tokens INTEGER,       -- tokens already in the prompt cache handed in; 0: fresh
    cache_updates_behind INTEGER,   -- updates applied since the cache was filled; NULL: not known
    cache_difference DOUBLE,    -- logits with that cache against without, max abs
    cache_repeated INTEGER,     -- tokens of that cache that the prompt begins with, all of them: they are read
                                -- once more; NULL: none, or not known
    sampler VARCHAR,            -- greedy | sampled | unknown
    settings VARCHAR,           -- JSON: temperature, top_p, max_tokens, ... as far as seen
    stop_tokens INTEGER,        -- size of the stop set in force
    stop_set VARCHAR,           -- JSON list of ids
    end_position INTEGER,       -- first output position holding a token that ends turns in training rows or
                                -- the model's configs, but generation went on; NULL: none
    end_in_stop_set BOOLEAN,
    framed BOOLEAN, frame VARCHAR, bos_count INTEGER, head_digest VARCHAR, prompt_digest VARCHAR,
    trained_on BOOLEAN,         -- its prompt is the prompt of a training row
    given_tokens INTEGER,       -- answer tokens of a training row, of its first 4, that its prompt holds
                                -- already; NULL: it is no prompt of a row
    ends_as_rows BOOLEAN,       -- its last token is the one that nearly all training rows teach last, text or
                                -- not; NULL: they differ
    place VARCHAR
);

-- Answers to prompts: to the probes of the tool, and those of the program's own generations.
CREATE TABLE transcripts (
    capture VARCHAR,
    prompt_id VARCHAR,      -- p0, p1, ... for probes; g1, g2, ... for observed generations
    source VARCHAR,         -- probe | observed
    prompt VARCHAR, output VARCHAR,             -- private:
    prompt_ids VARCHAR, output_ids VARCHAR,     -- private: JSON lists
    finish_reason VARCHAR,  -- stop | length | error
    settings VARCHAR,       -- JSON
    prompt_tokens INTEGER, output_tokens INTEGER,
    special_tokens INTEGER, -- of the output: special, pad or end tokens, but for the one that stopped it
    top_token_share DOUBLE, -- share of the output's most frequent token
    top_token_class VARCHAR,-- its class
    loop_share DOUBLE,      -- share of the output that repeats a block of up to 16 tokens back to back
    output_digest VARCHAR,  -- keyed equality
    prompt_digest VARCHAR,
    logits_digest VARCHAR   -- tensor: next-token logits after the prompt (vocab,), float32
);

-- The answers of `transcripts`, token by token.
CREATE TABLE tokens (
    capture VARCHAR, prompt_id VARCHAR,
    position INTEGER,
    token_id BIGINT,        -- private:
    token VARCHAR,          -- private:
    class VARCHAR,          -- text | end | pad | bos | special
    logprob DOUBLE,
    top VARCHAR             -- private: JSON list of [id, token, logprob], best first
);

-- The same prompt at two captures.
CREATE TABLE probe_deltas (
    capture_a VARCHAR, capture_b VARCHAR, prompt_id VARCHAR,
    same_output BOOLEAN,
    first_difference INTEGER,   -- position of the first token that differs; NULL: none
    logits_max_abs DOUBLE, logits_l2 DOUBLE, logits_scale DOUBLE,
    kl DOUBLE                   -- KL(a || b) of the next-token distribution after the prompt, nats
);

-- How much of an adapter is in fused weights: projection k of W_fused - W_base on scale * A B. 0 lost, 1
-- whole, 2 twice.
CREATE TABLE fusions (
    capture_adapter VARCHAR, capture_fused VARCHAR,
    module VARCHAR,
    k DOUBLE, cosine DOUBLE,
    intended_l2 DOUBLE, realised_l2 DOUBLE,
    quantized BOOLEAN
);

-- Scores of answers: built-in ones, and those of scorers of the user.
CREATE TABLE scores (
    capture VARCHAR, prompt_id VARCHAR,
    scorer VARCHAR,         -- special-share | repetition | length | exact-match | module:function
    key VARCHAR,            -- '' or a key of the mapping that the scorer returned
    value DOUBLE,
    error VARCHAR
);

-- Learning-rate schedules that the program made.
CREATE TABLE schedules (
    run VARCHAR, process INTEGER,
    schedule INTEGER,
    kind VARCHAR,           -- cosine_decay | linear_schedule | exponential_decay | step_decay |
                            -- join_schedules | other
    steps BIGINT,           -- decay or warm-up length in its own unit; NULL: none
    arguments VARCHAR,      -- JSON
    place VARCHAR
);

-- What a model that is trained said when it was asked about its own first batch: with the tokens after a
-- position changed (causality), with the other rows changed (rows); differences are the largest over the
-- outputs of a position. head, where the loss is taken on hidden states: how far the model's own logits are
-- from those that its head makes of them, as a share of the largest: least by its head as configured, most by
-- what a loss may take for it (steps.other_head). gradient, with --selftest full: the loss of that batch at
-- parameters that lie a little before and behind, along its gradient; repeat, rounding and scale are then of
-- the loss. backward,
-- where the model's forward calls an mx.custom_function: the same of the cross-entropy of its own outputs, for
-- the kind of parameters that is furthest off; the program's loss is not called. cache, where the program reads
-- a prompt into its own empty lists and dicts: the last tokens read one by one with copies of them, against the
-- prompt read whole without; rounding is then of the tokens before, read whole and by themselves. padding, of
-- a model that says one thing of each row and is called with rows of several widths: a row alone with its
-- padding against the same without; scale is then how far two rows of the batch are apart, in the mean.
CREATE TABLE selftests (
    run VARCHAR, process INTEGER, model VARCHAR,
    test VARCHAR,           -- causality | rows | head | gradient | backward | cache | padding
    kind VARCHAR,           -- why it was not made: unseen | absent | not-applicable; NULL: it was made
    why VARCHAR,            -- the same in words
    samples BIGINT,         -- causality: positions whose target is the token that was changed; rows: rows
                            -- whose neighbours were changed
    least DOUBLE,           -- by how much the outputs of the sample that moved least moved; of a row, the
                            -- median of its positions
    most DOUBLE,            -- the same of the sample that moved most
    rounding DOUBLE,        -- how much rounding moves them: measured by moving every small parameter by one
                            -- unit in its last place
    repeat DOUBLE,          -- how much two equal calls differ
    scale DOUBLE,           -- the largest output
    design VARCHAR,         -- what makes rows depend on each other on purpose: experts | batch statistics;
                            -- NULL: nothing that was seen
    ratio DOUBLE,           -- gradient: a finite difference of the loss along the gradient, over the
                            -- gradient's norm; 1 where the gradient is right
    ratio_error DOUBLE,     -- how exact that is: what differences over several lengths, and rounding, leave
                            -- open
    detached BOOLEAN,       -- gradient: the program's own code called mx.stop_gradient in the loss
    dtype VARCHAR,          -- of the outputs
    tokens BIGINT,          -- of the batch that were asked about
    seconds DOUBLE,
    place VARCHAR           -- where the forward of the program's own model begins
);

-- Data files that the program read, data sets that it handed to a trainer, and rows that mlx-lm's evaluation
-- measured.
CREATE TABLE datasets (
    run VARCHAR, process INTEGER,
    source VARCHAR,         -- file | trainer | forward: distinct rows that were evaluated | list: where the
                            -- first steps see the same rows, the longest list in memory that holds one
    path VARCHAR,           -- private
    file VARCHAR,
    records BIGINT,         -- lines or items
    rows_seen BIGINT,       -- distinct training rows seen in the whole run
    rows_drawn BIGINT,      -- rows seen in the whole run, repeats counted
    used BIGINT,            -- of a file: records found in training rows, evaluated rows or prompts; of
                            -- evaluated rows: those trained on; NULL: not looked for
    unused_between BIGINT,  -- of a file: records that were not found and stand between others that were;
                            -- NULL: not looked for, or rows were drawn from records
    cut BIGINT,             -- of a file: records whose text goes on where their training row ends; NULL: none
                            -- was seen
    cap BIGINT,             -- tokens, without the one that the program took off, of most rows that end so
    preferred BIGINT,       -- of a file of chosen and rejected answers: records whose chosen answer the loss
                            -- pulls up, and the other down
    reversed BIGINT,        -- the same, the other way round
    in_order BIGINT,        -- of a file that names what asks and what answers: records whose training row has
                            -- them in this order
    swapped BIGINT,         -- the same, the other way round
    asked BIGINT,           -- records whose question the program put to a model
    purpose VARCHAR,        -- train | valid | test | unknown
    place VARCHAR
);

-- Versions and device, one fact a row.
CREATE TABLE environment (
    capture VARCHAR,        -- the run's name, for what holds for all of it
    key VARCHAR,            -- python | mlx | mlx-lm | platform | device | ...
    value VARCHAR
);

-- What diagnose said last of each run.
CREATE TABLE findings (
    a VARCHAR, b VARCHAR, id VARCHAR, severity VARCHAR, role VARCHAR, confidence VARCHAR,
    title VARCHAR, claim VARCHAR, fix VARCHAR, place VARCHAR, explained_by VARCHAR, document VARCHAR
);

CREATE VIEW parameters AS
SELECT p.capture, p.name, p.canonical, p.module, p.leaf, p.role, p.layer,
       t.dtype, t.shape, t.size, t.nbytes, p.digest, p.trainable,
       t.mean, t.std, t.min, t.max, t.l2, t.zeros, t.nans, t.infs,
       p.value_digest, p.shared_with, p.evaluated, p.error
FROM placements p LEFT JOIN tensors t USING (digest);
