"""Tests where the parts of charts stand."""

from loom_api.console.charts import budgets, columns, course, graph
from loom_api.console.charts.graph import Node, laid_out
from loom_api.console.charts.histogram import BARS, HEIGHT, ScorePlot
from loom_coordinator.queries.costs.over_run import Moment
from loom_coordinator.queries.scores.histograms import STEPS, ScoreHistogram
from support.run_rows import NOW


def plot(threshold, **counts):
    found = [0] * (STEPS + 1)
    for name, number in counts.items():
        found[int(name[1:])] = number
    return ScorePlot(ScoreHistogram("exact", found, 0), threshold)


def test_the_bars_of_a_histogram_count_every_record_and_one_record_is_seen():
    bars = plot(0.8, s0=1, s79=2, s80=997, s100=10_000).bars
    assert len(bars) == BARS + 1
    assert sum(bar.records for bar in bars) == 11_000
    assert (bars[0].height, bars[-1].records, bars[-1].height) == (2.0, 10_000, HEIGHT)


def test_as_many_reach_a_threshold_as_have_its_score_or_more():
    assert plot(0.8, s79=2, s80=3, s100=4).reached == 7
    assert plot(1.0, s79=2, s100=4).reached == 4
    assert plot(None, s49=1, s50=2).reached == 2


def test_columns_stand_side_by_side_and_the_highest_fills_the_chart():
    first, second = columns.columns([("a", 1.0), ("b", 2.0)])
    assert first.x + first.width <= second.x
    assert (second.y, second.height) == (0, columns.HEIGHT)
    assert columns.columns([]) == []
    assert columns.columns([("a", 0.0)])[0].height == 0


def test_the_line_of_a_budget_stands_above_the_cost_unless_it_is_far_away():
    moments = [Moment(NOW, 1.0, None), Moment(NOW, 2.0, 0.5)]
    near, far = course.drawn(moments, 4.0), course.drawn(moments, 100.0)
    assert [each.height for each in near["cost"]] == [columns.HEIGHT / 4, columns.HEIGHT / 2]
    assert (near["line"], near["latency"][0].height, near["latency"][1].height) == (0.0, 0, columns.HEIGHT)
    assert (far["line"], far["cost"][1].height) == (None, columns.HEIGHT)
    assert course.drawn([], 4.0)["cost"] == []


def test_a_line_stands_at_the_budgets_of_each_span_that_has_some():
    costs, lines = budgets.with_budgets([("a", 1.0), ("b", 2.0), ("c", 0.0)], [0.0, 4.0, 100.0])
    assert [(each.name, each.y) for each in lines] == [("b", 0.0)]
    assert costs[1].height == columns.HEIGHT / 2
    assert budgets.with_budgets([], []) == ([], [])


def nodes(names):
    return {name: Node(name, name, name) for name in names}


def test_what_is_written_stands_to_the_right_of_what_it_is_made_from():
    laid = laid_out(nodes("abcd"), [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")])
    x = {box.node.key: box.x for box in laid.boxes}
    assert x["a"] < x["b"] < x["c"] < x["d"]
    assert len(laid.arrows) == 4
    assert laid.width >= x["d"] + graph.BOX_WIDTH


def test_boxes_do_not_overlap_and_a_circle_ends():
    laid = laid_out(nodes("abcdef"), [("a", "b"), ("b", "a"), ("c", "c"), ("d", "b"), ("e", "b"), ("b", "f")])
    places = {(box.x, box.y) for box in laid.boxes}
    assert len(places) == 6
    assert laid_out({}, []).boxes == []
