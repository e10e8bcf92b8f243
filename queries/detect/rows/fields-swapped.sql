-- Training rows have the answer where the question stands, and the question as the answer.
--
-- severity:   warning
-- role:       cause
-- confidence: strong
-- explains:   score-dropped, generation-collapse, prompt-in-loss, end-never-trained
-- claim:      {observed} stand in training rows with the answer before the question: the model is taught to
-- ask{how}.
-- clean:      the order of fields in training rows ({observed} have the question first)
-- rules out:  template-mismatch, prompt-in-loss
-- needs:      run
-- nothing:    a data file that names what asks and what answers, whose texts stand in the training rows
-- setting:    prompt_feature, data
-- fix:        give the loader each field by its name (prompt_feature and completion_feature, role user and
-- assistant); where questions are to be written on purpose, allow this finding
-- harmless:   a model that is to write questions; then it is asked with answers
-- fires on:   zoo/fields-changed
-- silent on:  zoo/healthy-columns
select
    'the data file' || coalesce(' ' || file, '') as subject,
    case when swapped > in_order then swapped else in_order end
    || ' of '
    || (in_order + swapped)
    || ' records' as observed,
    'the question before the answer' as expected,
    swapped > in_order as fault,
    rows_place(b) as place,
    case when asked > 0 then ', and the program asks it questions' else '' end as how,
    case when asked > 0 then 'error' else 'warning' end as severity
from datasets
where run = run_of(b) and in_order + swapped > 0
order by fault desc, subject
