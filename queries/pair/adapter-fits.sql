-- How an adapter's file at rest fits the base that it was put on: its names, and the shapes of its factors.
--
-- params: b
-- reads:  adapter_loads
select
    'the file on its base' as subject,
    case
        when l.unexpected > 0
        then
            l.unexpected
            || ' of '
            || l.names
            || ' names in the file are not in the model'
            || case when l.unexpected_first is null then '' else ', ' || l.unexpected_first || ' first' end
        else 'all ' || l.names || ' names met'
    end as observed,
    'every name in the file is one of the model' as expected,
    l.unexpected > 0 as fault,
    null::varchar as place,
    'all names of the adapter''s file are met' as seen,
    if(
        l.by_prefix,
        'put on the model whose names these are, or write the file with its names: they differ by the prefix '
        || 'language_model. or model.',
        'put it on the model that it was trained on'
    ) as fix_,
    'a loader leaves them out or refuses the file' as consequence,
    case  -- a loader may rename: that of a base that mlx did not write, and PEFT's around the language model
        when l.plain_names
        then if(l.by_prefix, 'warning', 'error')
        when l.peft and not l.by_prefix
        then 'warning'
        else 'info'
    end as severity,
    l.sequence
from adapter_loads l
where l.names > 0 and l.via = 'file'
union all
select
    'the shapes on the base',
    l.misshapen
    || ' of '
    || l.names
    || ' tensors in the file have not the shape that their layer takes'
    || coalesce(' (' || l.misshapen_first || ')', ''),
    'factors that multiply to the shape of their layer',
    true,
    null,
    '',
    if(
        l.turned,
        'transpose the factors: mlx-lm has A as inputs x rank and B as rank x outputs, PEFT the other way',
        'put it on the model that it was trained on'
    ),
    'the adapter cannot be applied',
    if(l.turned, 'warning', 'error'),
    l.sequence
from adapter_loads l
where l.via = 'file' and l.misshapen > 0
