{#
  Writes the query of a view of a pipeline, `loom_<pipeline>`: the rows of its destination, and the records that it kept
  back and that wait, with what their scores and their runs came to.

  pipeline:     the pipeline's name.
  destination:  the relation that it loads into: a source or a model.
  key:          the key columns of its records, as `extract.key` names them: a name or a list of names.
  kept_back:    whether records that were kept back are rows, too. Their columns of the destination are null.
#}
{% macro pipeline_view(pipeline, destination, key, kept_back=true) %}
{%- set keys = [key] if key is string else key -%}
{%- set own = [
    'loom_record_id', 'evaluation_passed', 'evaluation_score', 'created_at', 'outcome', 'failure_reason',
    'loom_run_id', 'run_status', 'pipeline_version', 'model', 'prompt_version', 'run_cost', 'record_cost'
] -%}
{%- set columns = [] -%}
{%- if execute -%}
    {#- asked by a query, because a file that DuckDB reads is in no catalogue -#}
    {%- for name in run_query('select * from ' ~ destination ~ ' limit 0').column_names -%}
        {%- do columns.append(name) -%}
    {%- endfor -%}
{%- endif -%}
{%- set taken = columns | map('lower') | list -%}
with runs as (
    select
        run_id,
        status,
        pipeline_version,
        model,
        prompt_version,
        started_at,
        cast(cost_total as {{ dbt.type_float() }}) as run_cost,
        cast(cost_total as {{ dbt.type_float() }}) / nullif(records_processed, 0) as record_cost
    from {{ source('loom', 'pipeline_runs') }}
    where pipeline_name = {{ dbt.string_literal(pipeline) }} and sample is null
),

scores as (
    select
        each.run_id,
        each.record_id,
        avg(each.score) as score,
        max(each.evaluated_at) as evaluated_at
    from {{ source('loom', 'record_evaluations') }} as each
    inner join runs on runs.run_id = each.run_id
    group by each.run_id, each.record_id
),

kept_back as (
    select
        kept.run_id,
        kept.record_id,
        kept.outcome,
        kept.failure_reason,
        kept.quarantined_at,
        {{ loom.is_true('kept.resolved') }} as resolved,
        row_number() over (partition by kept.record_id order by kept.quarantined_at desc, kept.id desc) as place
    from {{ source('loom', 'quarantined_records') }} as kept
    inner join runs on runs.run_id = kept.run_id
    where kept.pipeline_name = {{ dbt.string_literal(pipeline) }}
),

passed as (
    select
        scores.run_id,
        scores.record_id,
        scores.score,
        scores.evaluated_at,
        row_number() over (partition by scores.record_id order by runs.started_at desc, runs.run_id desc) as place
    from scores
    inner join runs on runs.run_id = scores.run_id
    left join kept_back on kept_back.run_id = scores.run_id and kept_back.record_id = scores.record_id
    where kept_back.record_id is null
),

ends as (
    select
        {% for column in columns -%}
        loaded.{{ adapter.quote(column) }},
        {% endfor -%}
        {{ loom.record_id_of(keys, 'loaded') }} as loom_record_id,
        true as evaluation_passed,
        passed.score as evaluation_score,
        passed.evaluated_at as created_at,
        'loaded' as outcome,
        cast(null as {{ dbt.type_string() }}) as failure_reason,
        passed.run_id as loom_run_id
    from {{ destination }} as loaded
    left join passed on passed.place = 1 and passed.record_id = {{ loom.record_id_of(keys, 'loaded') }}
    {%- if kept_back %}
    union all
    select
        {% for column in columns -%}
        null as {{ adapter.quote(column) }},
        {% endfor -%}
        kept_back.record_id as loom_record_id,
        false as evaluation_passed,
        scores.score as evaluation_score,
        kept_back.quarantined_at as created_at,
        kept_back.outcome as outcome,
        kept_back.failure_reason as failure_reason,
        kept_back.run_id as loom_run_id
    from kept_back
    left join scores on scores.run_id = kept_back.run_id and scores.record_id = kept_back.record_id
    where kept_back.place = 1 and not kept_back.resolved
    {%- endif %}
)

select
    {% for column in columns -%}
    ends.{{ adapter.quote(column) }},
    {% endfor -%}
    {% for name in own if name not in taken -%}
    {%- if name in ('run_status', 'pipeline_version', 'model', 'prompt_version', 'run_cost', 'record_cost') -%}
    runs.{{ 'status' if name == 'run_status' else name }} as {{ name }}
    {%- else -%}
    ends.{{ name }}
    {%- endif -%}
    {{ "," if not loop.last }}
    {% endfor %}
from ends
left join runs on runs.run_id = ends.loom_run_id
{% endmacro %}

{# Writes the id that Loom gives a record by its key: the key as text, and the parts of a key of several joined by `|`. #}
{% macro record_id_of(keys, relation) -%}
    {%- if keys | length == 1 -%}
    cast({{ relation }}.{{ adapter.quote(keys[0]) }} as {{ dbt.type_string() }})
    {%- else -%}
    {%- for key in keys -%}
    replace(replace(cast({{ relation }}.{{ adapter.quote(key) }} as {{ dbt.type_string() }}), '\', '\\'), '|', '\|')
    {{- " || '|' || " if not loop.last }}
    {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Writes whether a column is true: in SQLite, whose tables DuckDB reads, it is a number. #}
{% macro is_true(column) -%}
    cast({{ column }} as boolean)
{%- endmacro %}
