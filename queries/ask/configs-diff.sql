-- Settings of model, tokenizer, template, generation and adapter that differ between two captures.
--
-- params:  a, b
-- example: forensics query configs-diff ./base ./trained
with
    x as (
        select kind, key, any_value(value) as value
        from configs
        where capture = capture_of(a)
        group by kind, key
    ),
    y as (
        select kind, key, any_value(value) as value
        from configs
        where capture = capture_of(b)
        group by kind, key
    ),
    keys as (
        select
            (select max(greatest(key_of(key), key_of(value))) from x) as in_x,
            (select max(greatest(key_of(key), key_of(value))) from y) as in_y
    ),
    told as (
        select
            coalesce(x.kind, y.kind) as kind, coalesce(x.key, y.key) as key, x.value as in_a, y.value as in_b
        from x
        full join y on x.kind = y.kind and x.key = y.key
    ),
    kinds as (
        -- a loaded tokenizer says more than its files, and each format has its own keys: where only one side
        -- has such a mark, they tell in two ways
        select
            kind,
            bool_or(
                kind || '.' || key
                in ('tokenizer.class', 'tokenizer.digest', 'model.general.architecture', 'adapter.peft_type')
                and (nullif(in_a, 'null') is null) <> (nullif(in_b, 'null') is null)
            ) as two_ways
        from told
        group by kind
        having count(in_a) > 0 and count(in_b) > 0
    )
select kind, key, in_a, in_b
from told
join kinds using (kind), keys
where
    differ(in_a, in_b)
    and not (key_of(key) <> '' and apart(in_x, in_y))
    -- what one side says and the other never does is no difference; all say which tokens were added, and
    -- what the template is
    and (
        not two_ways
        or (in_a <> 'null' and in_b <> 'null')
        or (kind = 'tokenizer' and (key like 'added_tokens.%' or key = 'template_digest'))
    )
order by 1, 2
