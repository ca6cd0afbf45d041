{#
  Fails where the view of a pipeline has another number of rows for the newest run that has ended than the run's report: of
  those that it loaded, or those that it kept back and that nobody has replayed since.
#}
{% test counts_equal_report(model, pipeline) %}
with newest as (
    select runs.run_id, totals.loaded, totals.rejected + totals.quarantined + totals.skipped as kept_back
    from {{ source('loom', 'pipeline_runs') }} as runs
    inner join {{ source('loom', 'run_totals') }} as totals on totals.run_id = runs.run_id
    where runs.pipeline_name = {{ dbt.string_literal(pipeline) }}
        and runs.sample is null and runs.replay_of is null and runs.completed_at is not null
    order by runs.started_at desc
    limit 1
),

replayed as (
    select count(*) as number
    from {{ source('loom', 'quarantined_records') }} as kept
    inner join newest on newest.run_id = kept.run_id
    where {{ loom.is_true('kept.resolved') }}
),

seen as (
    select
        coalesce(sum(case when seen.evaluation_passed then 1 else 0 end), 0) as loaded,
        coalesce(sum(case when seen.evaluation_passed then 0 else 1 end), 0) as kept_back
    from {{ model }} as seen
    inner join newest on newest.run_id = seen.loom_run_id
)

select newest.run_id, newest.loaded as loaded_by_report, seen.loaded, newest.kept_back as kept_back_by_report, seen.kept_back
from newest
cross join seen
cross join replayed
where seen.loaded <> newest.loaded or seen.kept_back + replayed.number <> newest.kept_back
{% endtest %}
