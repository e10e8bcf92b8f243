-- A declared setting of training is not what the run did.
--
-- severity:   error
-- role:       cause
-- confidence: strong
-- explains:   loss-not-decreasing, update-too-large
-- claim:      {subject} is declared as {expected}; {observed}.
-- clean:      the declared settings of training ({subject}: {observed})
-- rules out:  accumulation-mismatch, schedule-in-wrong-unit
-- needs:      steps, every_step
-- long:       one short question for each setting, with its own sentence
-- reads:      declared_training, training_in_force
-- nothing:    a setting of training that the program declares
-- params:     a, b, few = 3, off = 1e-3, above = 1.1, about = 0.01, least_length = 2
-- numbers:    few - updates from which a habit shows; off - what rounding in float32 leaves between a
-- rate and its setting, with room; above - by how much a norm exceeds the one that it was clipped to, which
-- is rounding below it; about - how close a clipped norm is to its setting; least_length - of a
-- warm-up, which one update is none
-- fix:        {fix_}
-- harmless:   a schedule that ends or begins at the declared rate, a rate that is the declared one times a
-- number of the same settings or its root, several optimizers or models; another rate is a warning that asks,
-- as a program may take a part of the declared one
-- setting:    optimizer_config
-- fires on:   zoo/forced-rate, zoo/forced-clip, zoo/forced-decay, zoo/forced-kind, zoo/forced-ratio,
-- zoo/forced-section, zoo/forced-seed
-- silent on:  zoo/healthy-recipe
with
    d as materialized(
        select setting, try_cast(value as double) as n, trim(value, '"') as text from declared_training
    ),
    f as materialized(select * from training_in_force),
    known as (
        select list(distinct try_cast(value as double)) as factors
        from configs
        where capture = run_of(b) and kind = 'program' and key = 'declared.number'
    ),
    options as (  -- of the library's command: a section for each optimizer
        select
            trim(o.value, '"') as chosen,
            regexp_extract(replace(c.key, 'optimizer_config.', ''), '^[^.]+') as named,
            regexp_extract(replace(c.key, 'optimizer_config.', ''), '[^.]+$') as option,
            c.value
        from configs c
        join configs o on o.capture = c.capture and o.kind = c.kind and o.key = 'optimizer'
        where c.capture = run_of(b) and c.kind = 'program' and c.key like 'optimizer_config.%.%'
    ),
    unknown_ as (  -- of the library's command: keys that are none of its options
        select distinct
            said.value ->> 'key' as key,
            said.value ->> 'option' as option,
            said.value ->> 'value' as value,
            taken.value as taken
        from configs said
        left join
            configs taken
            on taken.capture = said.capture
            and taken.kind = 'program'
            and taken.key = said.value ->> 'option'
        where said.capture = run_of(b) and said.kind = 'program' and said.key = 'declared.unread'
    ),
    seeds as (  -- one number for mlx, and none of any generator that is the declared one
        select
            d.n::bigint as declared,
            any_value(e.detail ->> 'value') filter (e.detail ->> 'generator' = 'mlx') as given,
            count(*) filter (e.detail ->> 'generator' = 'mlx') as given_,
            coalesce(bool_or((e.detail ->> 'value')::double = d.n), false) as in_force,
            any_value(e.place) filter (e.detail ->> 'generator' = 'mlx') as place
        from d
        left join events e on e.run = run_of(b) and e.kind = 'seed'
        where d.setting = 'seed' and d.n is not null
        group by d.n
    ),
    unread as (
        select
            chosen,
            'optimizer_config.' || named as section,
            'optimizer_config.' || chosen as taken,
            option,
            value
        from options
        -- beside options of the chosen one, another's are those of a choice not made
        where named <> chosen and not exists (from options own where own.named = own.chosen)
    ),
    rate as (
        select
            d.n,
            f.*,
            -- is what was done the declared rate times a number, or a quotient of two, or its root?
            exists (
                from unnest(known.factors) x(p), unnest(list_prepend(1, known.factors)) y(q)
                where
                    close_to(f.rate_most, d.n * p / q)
                    or close_to(f.rate_most, d.n * q / p)
                    or close_to(f.rate_most, d.n * sqrt(p / q))
            ) as scaled
        from d, f, known
        where d.setting = 'learning_rate' and d.n > 0 and f.rates > 0
    ),
    clipped as (
        select
            *,
            -- where one parameter has just this norm, each is clipped by itself
            coalesce(
                f.untouched > 0
                and f.norm_most > above * most
                and coalesce(abs(f.tensor_most - most) > about * most, true),
                false
            ) as untouched_
        from
            (
                select n as most, 'error' as said
                from d
                where setting = 'max_grad_norm'
                union all
                select n, 'warning'
                from d
                where setting = 'grad_clip'  -- or the most that an entry may be
                union all
                select asked_norm, 'error'
                from f
                where not exists (from d where setting = 'max_grad_norm')
            ),
            f
        where most > 0 and f.models = 1
    ),
    every as (
        select
            'the learning rate' as subject,
            case
                when relative
                then class || ' ignores the rate that it is given: relative_step is on'
                when rate_least = rate_most
                then 'it was ' || brief(rate_most) || ' at each of ' || counted(rates, 'update')
                else 'it was between ' || brief(rate_least) || ' and ' || brief(rate_most)
            end as observed,
            brief(n) as expected,
            relative
            or (
                rates >= few
                and schedules = 0
                and rate_least = rate_most
                and abs(rate_most - n) > off * n
                and not scaled
            )
            or (
                rates >= few and rate_most > n * (1 + off) and rate_least > n * (1 + off) and not scaled
            ) as fault,
            place,
            case
                when relative
                then 'make it with relative_step=False, and scale_parameter=False for the rate as it stands'
                else
                    'give the optimizer the declared rate, or take it out of the settings; where it is a part of it on '
                    || 'purpose, allow this finding'
            end as fix_,
            -- a rate that the program makes of the declared one by a number of its code is meant
            if(relative, 'error', 'warning') as severity
        from rate
        union all
        select
            'the gradient''s norm',
            if(
                untouched_,
                'the optimizer received one of up to ' || brief(norm_most) || ', as it was evaluated',
                'the largest that came as it was evaluated is ' || coalesce(brief(norm_most), 'none')
            ),
            'at most ' || brief(most),
            untouched_,
            coalesce(asked_place, place),
            'hand the optimizer what clip_grad_norm returns: gradients, norm = clip_grad_norm(gradients, '
            || brief(most)
            || ')',
            said
        from clipped
        union all
        select
            'the warm-up',
            if(
                rate_first < rate_most,
                'the rate began at ' || brief(rate_first) || ' and reached ' || brief(rate_most),
                'the rate was ' || brief(rate_most) || ' from the first update on'
            ),
            counted(d.n::bigint, 'update'),
            rates >= few and rate_first = rate_most,
            place,
            'give the optimizer a schedule that begins below the rate: join_schedules([linear_schedule(0, rate, '
            || d.n::bigint
            || '), ...])',
            'error'
        from f
        join d on d.setting = 'warmup_steps' and d.n >= least_length
        where rates > 0 and not relative and rate_most > 0
        union all
        select
            'the warm-up',
            if(
                rate_first < rate_most,
                'the rate began at ' || brief(rate_first) || ' and reached ' || brief(rate_most),
                'the rate was ' || brief(rate_most) || ' from the first update on'
            ),
            brief(d.n) || ' of all updates (' || counted(updates, 'update') || ' were done)',
            rates >= few and rate_first = rate_most,
            place,
            'count its updates as int('
            || brief(d.n)
            || ' * updates), and let the schedule begin below the rate',
            'error'
        from f
        join d on d.setting = 'warmup_ratio' and d.n > 0 and d.n < 1
        where
            rates > 0
            and not relative
            and rate_most > 0
            and floor(d.n * updates) >= least_length
            -- a count of updates takes its place
            and not exists (from d where setting = 'warmup_steps' and n > 0)
        union all
        select
            'weight decay',
            case
                when decay is null then class || ' has none' else class || ' was made with ' || brief(decay)
            end,
            brief(d.n),
            decay is distinct from d.n and not coalesce(close_to(decay, d.n), false),
            place,
            case
                when decay is null
                then 'use AdamW(..., weight_decay=' || brief(d.n) || ')'
                else 'pass weight_decay=' || brief(d.n) || ' to ' || class
            end,
            if(decay is null, 'warning', 'error')  -- it may be a term of the loss
        from f
        join d on d.setting = 'weight_decay' and d.n > 0
        where class is not null and lower(class) in ('adam', 'adamw', 'sgd', 'adafactor', 'lion', 'muon')
        union all
        select
            'the optimizer',
            'the updates are those of ' || class,
            d.text,
            lower(class) <> d.text,
            place,
            'make the optimizer that the settings name, by its name',
            'error'
        from f
        join d on d.setting = 'optimizer'
        where
            lower(class) in (
                'adam',
                'adamw',
                'sgd',
                'adafactor',
                'lion',
                'muon',
                'rmsprop',
                'adagrad',
                'adadelta',
                'adamax'
            )
        union all
        select
            'the length of rows',
            'a row of ' || coalesce(tokens, width) || ' tokens was trained',
            'at most ' || d.n::bigint,
            coalesce(tokens, width) > d.n + 1,
            place,
            'cut rows at '
            || d.n::bigint
            || ' tokens where they are encoded, or say the length that is meant',
            'error'
        from f
        join d on d.setting = 'max_seq_length' and d.n > 0
        where coalesce(tokens, width) is not null
        union all
        select
            'the seed',
            case
                when in_force
                then 'a generator of random numbers got it'
                when given_ = 1
                then 'mx.random.seed was given ' || given
                when given_ = 0
                then 'mx.random.seed was not called'
                else 'mx.random.seed was given ' || counted(given_, 'number')
            end,
            declared,
            not in_force and given_ <= 1,
            place,
            'call mx.random.seed(' || declared || ') before the model is built',
            -- unseeded, two runs differ; another may be drawn from it
            if(given_ = 1, 'warning', 'info')
        from seeds
        union all
        select
            section || '.' || option,
            'the optimizer is ' || chosen || ', which takes what is under ' || taken,
            value,
            true,
            null,
            'write the options under ' || taken || ', or choose the optimizer that they are for',
            'error'
        from unread
        union all
        select
            key,
            'the command has no such option: it takes '
            || option
            || coalesce(', which was ' || trim(taken, '"'), ''),
            value,
            taken is distinct from value,
            null,
            'write it as ' || option,
            'error'
        from unknown_
    )
select *, if(severity = 'error', 'strong', 'possible') as confidence  -- a warning asks: it may be meant
from every
order by fault desc, subject
