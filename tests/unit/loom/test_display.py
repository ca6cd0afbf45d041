"""Tests what a person sees while a run goes."""

import io

from rich.console import Console

from loom.cli.output import progress as output_progress
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.rates import RunRates
from loom.cli.output.streams import windows
from loom_common.contracts.v1 import RunProgress, StageProgress
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage


def progress(elapsed=2.0, notice=None, total=1000):
    done = {Stage.EXTRACT: 1000, Stage.TRANSFORM: 600, Stage.EVALUATE: 500, Stage.LOAD: 300}
    return RunProgress(
        run_id="run_1",
        pipeline="reviews",
        status="running",
        tally=Tally(extracted=1000, rejected=150, calls_made=600, calls_from_cache=3, cost_transform=0.0125),
        total=total,
        stages={stage: StageProgress(records_in=n, records_out=n, seconds=1.0) for stage, n in done.items()},
        elapsed=elapsed,
        notice=notice,
    )


def console(*, tty, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    return Console(file=file, force_terminal=tty, width=100, highlight=False, color_system=None, legacy_windows=False)


def text_of(screen):
    screen.file.flush()
    return screen.file.buffer.getvalue().decode(screen.encoding)


def picture(screen, word, note=None):
    pace = RunRates()
    pace.heard(word)
    screen.print(output_progress.picture("reviews run_1", word, pace, 0.5, note, terminal.symbols(screen)))
    return text_of(screen)


def test_the_picture_has_a_line_per_stage_with_count_rate_and_remaining_time():
    seen = picture(console(tty=True), progress())
    lines = {line.split()[0]: line for line in seen.splitlines() if line.strip()}
    assert "1,000 / 1,000" in lines["extract"]
    assert "600 / 1,000" in lines["transform"]
    assert "300/s" in lines["transform"]
    assert "ETA 1.3 s" in lines["transform"]
    assert "300 / 850" in lines["load"]
    assert "cost $0.0125 · calls 600 (+ 3 reused) · rejected 150" in seen
    assert "running · 2.5 s" in seen


def test_the_picture_fits_into_a_hundred_columns():
    assert max(map(len, picture(console(tty=True), progress()).splitlines())) <= 100


def test_notices_stand_below():
    seen = picture(
        console(tty=True), progress(notice="transform waits: no answer from h; retry in 5 s"), note="stopping"
    )
    assert [line.rstrip() for line in seen.splitlines()[-2:]] == [
        "  transform waits: no answer from h; retry in 5 s",
        "  stopping",
    ]


def test_a_terminal_that_knows_ascii_only_gets_ascii():
    picture(console(tty=True, encoding="ascii"), progress()).encode("ascii")


def test_without_a_terminal_there_is_a_line_now_and_then():
    screen = console(tty=False)
    shown = output_progress.choose(screen, Format.TABLE)
    assert isinstance(shown, output_progress.Lines)
    said = []
    shown.note = said.append
    for elapsed in (0.5, 1.0, 4.0, 5.6, 6.0):
        shown.show(progress(elapsed))
    assert len(said) == 2
    assert "extract 1,000  transform 600  evaluate 500  load 300 of 1,000" in said[1]


def test_a_program_without_a_terminal_gets_nothing_and_with_one_the_picture():
    assert type(output_progress.choose(console(tty=False), Format.JSON)) is output_progress.Silent
    assert isinstance(output_progress.choose(console(tty=True), Format.JSON), output_progress.LiveDisplay)


def test_beside_a_log_there_are_lines_not_a_picture():
    assert isinstance(output_progress.choose(console(tty=True), Format.TABLE, verbose=True), output_progress.Lines)


def test_a_stream_shows_its_open_window_below_what_was_said():
    screen = console(tty=True)
    with windows.choose(screen, Format.TABLE) as shown:
        shown.show(progress())
        shown.note("a lock is awaited")
        shown.say("window 1 closed")
    assert "window 1 closed" in text_of(screen)
    assert "a lock is awaited" in text_of(screen)
    assert f"{shown.totals} closed" in text_of(screen)


def test_the_live_display_shows_what_it_heard():
    screen = console(tty=True)
    with output_progress.choose(screen, Format.TABLE, expected=1000) as shown:
        shown.started("run_1", "reviews")
        shown.show(progress())
    assert "transform" in text_of(screen)
