from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from loom_common.errors import UserCodeError
from loom_common.user_code.functions import forget, have_changed, load_function


def _write(folder, **files):
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_function_beside_the_pipeline_is_found(tmp_path):
    _write(tmp_path, transforms="def double(record): return {'n': record['n'] * 2}")
    assert load_function("transforms:double", tmp_path)({"n": 4}) == {"n": 8}


def test_an_installed_function_is_found(tmp_path):
    assert load_function("math:sqrt", tmp_path)(9) == 3


def test_a_module_beside_the_pipeline_wins_over_an_installed_one(tmp_path):
    _write(tmp_path, math="def sqrt(x): return 'mine'")
    assert load_function("math:sqrt", tmp_path)(9) == "mine"
    import math

    assert math.sqrt(9) == 3


def test_two_pipelines_may_have_modules_of_the_same_names(tmp_path):
    for name in ("one", "two"):
        text = "from helpers import NAME\nimport helpers\ndef f(): return NAME, helpers.NAME"
        _write(tmp_path / name, transforms=text, helpers=f"NAME = '{name}'")
    one, two = (load_function("transforms:f", tmp_path / name) for name in ("one", "two"))
    assert (one(), two()) == (("one", "one"), ("two", "two"))


def test_siblings_are_found_also_by_imports_inside_functions(tmp_path):
    _write(
        tmp_path,
        late="def f():\n    import helpers_late\n    return helpers_late.f()",
        helpers_late="def f(): return 7",
    )
    assert load_function("late:f", tmp_path)() == 7


def test_packages_beside_the_pipeline_work_with_relative_and_absolute_imports(tmp_path):
    _write(
        tmp_path,
        **{
            "shop/__init__": "from .prices import PRICE",
            "shop/prices": "PRICE = 3",
            "shop/tax": "import shop.prices\nfrom shop import prices\nfrom . import prices as same\n"
            "def f(): return shop.prices.PRICE, prices.PRICE, same.PRICE, shop.PRICE",
        },
    )
    assert load_function("shop.tax:f", tmp_path)() == (3, 3, 3, 3)


def test_neither_sys_path_nor_public_module_names_are_touched(tmp_path):
    _write(tmp_path, lonely="import lonely_helper\nimport json\ndef f(): return json.dumps([])", lonely_helper="")
    before = list(sys.path)
    assert load_function("lonely:f", tmp_path)() == "[]"
    assert sys.path == before
    assert "lonely" not in sys.modules
    assert "lonely_helper" not in sys.modules


def test_a_module_is_imported_once_whoever_asks(tmp_path):
    _write(tmp_path, counted="import itertools\nTHIS = object()\ndef f(): return THIS")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_function("counted:f", tmp_path)(), range(32)))
    assert len(set(map(id, found))) == 1


def test_dataclasses_of_user_modules_work(tmp_path):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    n: int = 1\n"
    )
    _write(tmp_path, shapes=text)
    assert load_function("shapes:A", tmp_path)().n == 1


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nowhere:f", "there is no module nowhere in {folder} (Python files there: broken.py, clean.py, needy.py)"),
        ("clean:tidi", "has no 'tidi'; it has scrub, tidy. Did you mean 'tidy'?"),
        ("clean:LIMIT", "is int, not a function"),
        ("broken:f", "broken.py:2): ValueError: not today"),
        ("needy:f", "needy.py:1): ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("clean.deeper:f", "importing clean.deeper failed"),
    ],
)
def test_what_cannot_be_loaded_says_what_was_found(tmp_path, reference, words):
    _write(
        tmp_path,
        clean="LIMIT = 3\ndef tidy(r): return r\ndef scrub(r): return r",
        broken="\nraise ValueError('not today')",
        needy="import not_installed_anywhere",
    )
    with pytest.raises(UserCodeError) as caught:
        load_function(reference, tmp_path)
    assert f"'{reference}'" in str(caught.value)
    assert words.format(folder=tmp_path) in str(caught.value)


def test_a_folder_that_is_not_there_is_no_crash(tmp_path):
    with pytest.raises(UserCodeError, match="Python files there: none"):
        load_function("absent:f", tmp_path / "gone")


def test_a_file_written_twice_in_one_second_with_as_many_bytes_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for number, nanoseconds in ((1, 100_000_000), (2, 200_000_000)):
        _write(tmp_path, twice=f"def told(record): return {number}")
        os.utime(tmp_path / "twice.py", ns=(0, 1_700_000_000_000_000_000 + nanoseconds))
        forget()
        assert load_function("twice:told", tmp_path)(None) == number
    assert list((tmp_path / "__pycache__").iterdir())


@pytest.fixture
def imported_meanwhile():
    """Provide a function that imports a module, as another thread may at any moment; all are forgotten at the end."""
    before = set(sys.modules)

    def imported(*_):
        name = f"meanwhile_{len(sys.modules)}"
        sys.modules[name] = ModuleType(name)

    yield imported
    for name in sys.modules.keys() - before:
        del sys.modules[name]


def test_other_threads_may_import_while_it_is_seen_whether_a_file_has_changed(imported_meanwhile):
    thresholds = gc.get_threshold()
    gc.callbacks.append(imported_meanwhile)  # the interpreter collects garbage, and runs other threads, between any two
    gc.set_threshold(1)
    try:
        assert not have_changed()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(imported_meanwhile)


def test_other_threads_may_import_while_modules_are_forgotten(imported_meanwhile, tmp_path):
    class Name(str):
        def startswith(self, *prefixes):
            imported_meanwhile()
            return super().startswith(*prefixes)

    sys.modules[Name("looked_at_meanwhile")] = ModuleType("looked_at_meanwhile")
    _write(tmp_path, forgotten="def told(record): return 1")
    function = load_function("forgotten:told", tmp_path)
    forget()
    assert load_function("forgotten:told", tmp_path) is not function
