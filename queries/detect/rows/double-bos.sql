-- A begin token stands twice at the head of rows or prompts.
--
-- severity:   error
-- role:       cause
-- confidence: certain
-- explains:   score-dropped, generation-collapse, output-unchanged
-- claim:      {subject} {observed}, {expected}.
-- clean:      begin tokens ({observed} in training and in generation)
-- rules out:  template-mismatch
-- needs:      run
-- nothing:    a tokenizer with a begin token
-- capture:    Give the directory of the model with its tokenizer.
-- setting:    data
-- fix:        the template writes the begin token: encode its text with add_special_tokens=False, or call
-- apply_chat_template(..., tokenize=True)
-- fires on:   zoo/begin-rows, zoo/begin-prompt
-- silent on:  zoo/healthy-begin-token
with
    k as materialized(select run_of(b) as run),
    rows_ as (
        select mode(bos_count) as n, any_value(rows_place(b)) as place
        from batch_rows
        join k using (run)
        where bos_count is not null
    ),
    asked as (
        select mode(bos_count) as n, any_value(place) as place
        from generations
        join k using (run)
        where bos_count is not null and coalesce(cache_tokens, 0) = 0
    ),
    sides as (
        select
            'Training rows' as subject,
            rows_.n,
            asked.n as other,
            'generation prompts with ' as whose,
            rows_.place
        from rows_, asked
        union all
        select 'Generation prompts', asked.n, rows_.n, 'training rows with ', asked.place
        from rows_, asked
    )
select
    subject,
    'begin with ' || n || ' begin token' || case when n = 1 then '' else 's' end as observed,
    case when other is null then 'one is right' else whose || other end as expected,
    n > 1 and (other is null or other < n) as fault,
    place
from sides
where n > 0 or other > 0
order by fault desc, subject
