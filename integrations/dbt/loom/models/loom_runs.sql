{{ config(alias='loom_runs') }}
{# Every run that was no trial, with its counts and its cost. #}
select
    runs.run_id,
    runs.pipeline_name,
    runs.pipeline_version,
    runs.model,
    runs.prompt_version,
    runs.target,
    runs.status,
    runs.error_message,
    runs.replay_of,
    cast(runs.started_at as {{ dbt.type_timestamp() }}) as started_at,
    cast(runs.completed_at as {{ dbt.type_timestamp() }}) as completed_at,
    totals.extracted as records_extracted,
    totals.loaded as records_loaded,
    totals.rejected as records_rejected,
    totals.quarantined as records_quarantined,
    totals.skipped as records_skipped,
    cast(runs.cost_total as {{ dbt.type_float() }}) as cost_total,
    runs.duration_seconds
from {{ source('loom', 'pipeline_runs') }} as runs
left join {{ source('loom', 'run_totals') }} as totals on totals.run_id = runs.run_id
where runs.sample is null
