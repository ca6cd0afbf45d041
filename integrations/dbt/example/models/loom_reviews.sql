{{ loom.pipeline_view('reviews', source('results', 'sentiment'), key='id') }}
