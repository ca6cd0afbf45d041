with loom_sentiment as (
    select * from {{ ref('loom_reviews') }}
)

select
    cast({{ dbt.date_trunc('day', 'created_at') }} as date) as day,
    sentiment,
    count(*) as review_count,
    avg(evaluation_score) as avg_quality_score
from loom_sentiment
where evaluation_passed
group by 1, 2
