-- How the targets stand to the rows, as shares of the weighted positions outside padding, and how many there are.
--
-- params: b
-- reads:  taught
SELECT count(*) AS n, count(*) FILTER (relation = 'next') / count(*) AS next_, count(*) FILTER (relation = 'same') / count(*) AS same_,
    count(*) FILTER (relation = 'next-but-one') / count(*) AS second_, count(*) FILTER (relation = 'other') / count(*) AS other_
FROM taught WHERE weight <> 0 AND relation IS NOT NULL AND role IN ('prompt', 'answer', 'end') HAVING count(*) > 0
