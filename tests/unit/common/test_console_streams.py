"""Tests what a console makes of the texts that it prints."""

import io

from loom_common.console.streams import console_on


def test_a_name_between_colons_is_printed_as_it_is():
    console_on(stream := io.StringIO()).print("rated :star: at 10:100:00", markup=False)
    assert stream.getvalue() == "rated :star: at 10:100:00\n"
